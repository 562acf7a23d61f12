//! `context`: a small map of strings for each request. Hooks use it to pass values to the controller.

use crate::component::{store::StoreData, wit::carya::host::context};

/// Maximum number of keys.
const MAX_KEYS: usize = 64;
/// Maximum length of all keys and values together, in bytes.
const MAX_BYTES: usize = 64 * 1024;

impl context::Host for StoreData {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.context.get(&key).cloned())
    }

    fn set(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), String>> {
        let others = || self.lent.context.iter().filter(|(other, _)| **other != key);
        if others().count() >= MAX_KEYS {
            return Ok(Err(format!("the context holds at most {MAX_KEYS} keys")));
        }
        let bytes: usize = others().map(|(key, value)| key.len() + value.len()).sum();
        if bytes + key.len() + value.len() > MAX_BYTES {
            return Ok(Err(format!("the context holds at most {MAX_BYTES} bytes")));
        }
        self.lent.context.insert(key, value);
        Ok(Ok(()))
    }
}
