//! `identity` and `identity-setter`: the identity of the client.

use crate::{
    component::{
        store::StoreData,
        wit::carya::host::{identity, identity_setter},
    },
    message::ClientIdentity,
};

impl identity::Host for StoreData {
    fn subject(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.client.as_ref().map(|client| client.subject.clone()))
    }

    fn claim(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.client.as_ref().and_then(|client| client.claim(&name)).map(str::to_owned))
    }

    fn claims(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.client.as_ref().map(|client| client.claims.clone()))
    }
}

impl identity_setter::Host for StoreData {
    fn set(&mut self, subject: String, claims: String) -> wasmtime::Result<Result<(), String>> {
        let result = if !self.may_identify {
            Err("only an `on-route` hook and a `before` hook outside the transaction can set the identity".to_owned())
        } else if self.lent.client.is_some() {
            Err("the identity of this request is set already".to_owned())
        } else {
            ClientIdentity::new(subject, claims).map(|client| self.lent.client = Some(Box::new(client)))
        };
        Ok(result)
    }
}
