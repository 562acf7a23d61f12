//! `response`: the reply before the host sends it. `on-error` hooks may read the reply, and `after` hooks may change
//! it.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request::{as_text, first_header};
use crate::{
    component::{store::StoreData, wit::carya::host::response},
    message::{self, BodyLength, Limits, Reply, head_size},
};

type Changed = wasmtime::Result<Result<(), String>>;

impl response::Host for StoreData {
    fn status(&mut self) -> wasmtime::Result<u16> {
        Ok(self.reply.as_ref().map_or(0, |reply| reply.status.as_u16()))
    }

    fn set_status(&mut self, status: u16) -> Changed {
        Ok(self.change(|reply, _| {
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
        Ok(self.change(|reply, limits| {
            let (name, value) = message::header(&name, value.as_bytes())?;
            let kept = reply.headers.iter().filter(|(other, _)| **other != name);
            check_growth(limits, &reply.headers, kept.chain([(&name, &value)]))?;
            reply.headers.insert(name, value);
            Ok(())
        }))
    }

    fn append_header(&mut self, name: String, value: String) -> Changed {
        Ok(self.change(|reply, limits| {
            let (name, value) = message::header(&name, value.as_bytes())?;
            check_growth(limits, &reply.headers, reply.headers.iter().chain([(&name, &value)]))?;
            reply.headers.append(name, value);
            Ok(())
        }))
    }

    fn remove_header(&mut self, name: String) -> Changed {
        Ok(self.change(|reply, _| {
            reply.headers.remove(name.as_str());
            Ok(())
        }))
    }

    fn body(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.reply.as_ref().map_or_else(Vec::new, |reply| reply.body.to_vec()))
    }

    fn set_body(&mut self, body: Vec<u8>) -> Changed {
        Ok(self.change(|reply, limits| {
            if reply.length == BodyLength::Streamed {
                // A hook that computes the new body from the old one would replace the rows by nothing.
                return Err("the body cannot be replaced: its rows are streamed to the client".to_owned());
            }
            limits.check_body(body.len())?;
            (reply.body, reply.length) = (body.into(), BodyLength::OfBody);
            Ok(())
        }))
    }
}

impl StoreData {
    fn change(&mut self, change: impl FnOnce(&mut Reply, &Limits) -> Result<(), String>) -> Result<(), String> {
        match (&mut self.reply, &self.change_limits) {
            (Some(reply), Some(limits)) => change(reply, limits),
            _ => Err("only after hooks may change the reply".to_owned()),
        }
    }
}

/// Returns an error if the number or the length of the header fields exceeds its limit `after` a change, unless the
/// change did not increase it. The fields may exceed a limit `before` the change, because the host adds a
/// `content-type`.
fn check_growth<'a>(
    limits: &Limits,
    before: &HeaderMap,
    after: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Result<(), String> {
    let (fields, bytes) = after.fold((0, 0), |(fields, bytes), field| (fields + 1, bytes + head_size([field])));
    let grown = |now: usize, before: usize| if now > before { now } else { 0 };
    limits.check_head(grown(fields, before.len()), grown(bytes, head_size(before)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{response::Host, *};
    use crate::component::properties::Properties;

    #[test]
    fn a_head_grows_up_to_its_limits() -> wasmtime::Result<()> {
        let mut guest = StoreData::new(Arc::new(Properties::with_memory(0)));
        assert!(
            guest.set_header("a".to_owned(), "1".to_owned())?.is_err(),
            "there is no reply, and the guest is no after hook"
        );
        guest.reply = Some(Reply::default());
        guest.change_limits = Some(Limits { fields: 3, head: 24, body: 2 });
        let mut change = |what: &str, name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            match what {
                "set" => guest.set_header(name, value),
                "append" => guest.append_header(name, value),
                _ => guest.set_body(value.into_bytes()),
            }
        };
        // A field with a name and a value of one letter each counts as 6 bytes.
        for (what, name, value, good) in [
            ("set", "a", "1", true),
            ("append", "a", "2", true),
            ("set", "b", "1", true),
            ("append", "b", "2", false),
            ("set", "c", "1", false),
            ("set", "b", "1234567", true),
            ("set", "b", "12345678", false),
            ("set", "a", "1", true),
            ("append", "c", "12", false),
            ("append", "c", "1", true),
            ("body", "", "12", true),
            ("body", "", "123", false),
        ] {
            let changed = change(what, name, value)?;
            assert_eq!(changed.is_ok(), good, "{what} {name}: {value}: {changed:?}");
        }
        Ok(())
    }
}
