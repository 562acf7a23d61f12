//! `config`: the settings of the component that asks.

use crate::component::{store::Guest, wit::carya::host::config};

impl config::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.current.settings.get(&key).cloned())
    }
}
