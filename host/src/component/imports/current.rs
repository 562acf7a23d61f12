//! `current`: a handle to the database of the running call, for exports that receive none.

use crate::component::{
    store::StoreData,
    wit::carya::host::{current, database::Handle},
};

impl current::Host for StoreData {
    fn get(&mut self) -> wasmtime::Result<Handle> {
        self.lend_again()
    }
}
