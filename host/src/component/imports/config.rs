//! `config`: the settings of the calling component.

use crate::component::{store::StoreData, wit::carya::host::config};

impl config::Host for StoreData {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.properties.settings.get(&key).cloned())
    }
}
