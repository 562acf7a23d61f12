//! `response`: the answer on its way out, for after hooks.

use super::request::{as_text, first_header};
use crate::{
    component::{store::Guest, wit::carya::host::response},
    message::{self, Reply},
};

type Changed = wasmtime::Result<Result<(), String>>;

impl response::Host for Guest {
    fn status(&mut self) -> wasmtime::Result<u16> {
        Ok(self.reply.as_ref().map_or(0, |reply| reply.status.as_u16()))
    }

    fn set_status(&mut self, status: u16) -> Changed {
        Ok(self.change(|reply| {
            reply.status = message::status(status)?;
            Ok(())
        }))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.reply.as_ref().and_then(|reply| first_header(&reply.headers, &name)))
    }

    fn headers(&mut self) -> wasmtime::Result<String> {
        Ok(self.reply.as_ref().map_or_else(String::new, |reply| as_text(&reply.headers)))
    }

    fn set_header(&mut self, name: String, value: String) -> Changed {
        Ok(self.change(|reply| {
            let (name, value) = message::header(&name, &value)?;
            reply.headers.insert(name, value);
            Ok(())
        }))
    }

    fn append_header(&mut self, name: String, value: String) -> Changed {
        Ok(self.change(|reply| {
            let (name, value) = message::header(&name, &value)?;
            reply.headers.append(name, value);
            Ok(())
        }))
    }

    fn remove_header(&mut self, name: String) -> Changed {
        Ok(self.change(|reply| {
            reply.headers.remove(name.as_str());
            Ok(())
        }))
    }

    fn body(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.reply.as_ref().map_or_else(Vec::new, |reply| reply.body.to_vec()))
    }

    fn set_body(&mut self, body: Vec<u8>) -> Changed {
        Ok(self.change(|reply| {
            reply.body = body.into();
            Ok(())
        }))
    }
}

impl Guest {
    fn change(&mut self, change: impl FnOnce(&mut Reply) -> Result<(), String>) -> Result<(), String> {
        match &mut self.reply {
            Some(reply) if self.may_change_reply => change(reply),
            _ => Err("the answer can be changed by after hooks only".to_owned()),
        }
    }
}
