//! Indices of the contract's exports in a component. The generated bindings use them to call the exports.

use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use super::{
    export::Export,
    store::StoreData,
    wit::exports::carya::host::{
        actions, after, before, model, on_error, on_route, plain_controller, read_controller, reseed, write_controller,
    },
};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

/// Error for an export whose functions or types differ from the contract.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {error:#}", export.interface())]
pub struct Mismatch {
    /// The export.
    pub(super) export: Export,
    /// The error of wasmtime, which names no types.
    pub(super) error: wasmtime::Error,
}

/// Generates `Indices` from pairs of an export and its generated bindings. The `match` expressions over [`Export`] do
/// not compile if an export is missing.
macro_rules! indices {
    ($($export:ident: $bindings:ident;)*) => {
        /// Indices of the exports that a component has.
        #[derive(Default, Clone)]
        pub(super) struct Indices {
            $($bindings: Option<$bindings::GuestIndices>,)*
        }

        impl Indices {
            /// Finds the exports of a component.
            ///
            /// # Errors
            ///
            /// Returns an error if an interface lacks a function.
            pub(super) fn find(pre: &InstancePre<StoreData>) -> Result<Self, Mismatch> {
                let mut found = Self::default();
                let has = |export: &Export| pre.component().get_export_index(None, &export.interface()).is_some();
                for export in Export::ALL.into_iter().filter(has) {
                    let mismatch = |error| Mismatch { export, error };
                    match export {
                        $(Export::$export => {
                            found.$bindings = Some($bindings::GuestIndices::new(pre).map_err(mismatch)?);
                        })*
                    }
                }
                Ok(found)
            }

            /// Checks that the types of all exports of an instance match the contract.
            pub(super) fn check(&self, store: &mut Store<StoreData>, instance: &Instance) -> Result<(), Mismatch> {
                $(if let Some(indices) = &self.$bindings {
                    let mismatch = |error| Mismatch { export: Export::$export, error };
                    indices.load(&mut *store, instance).map_err(mismatch)?;
                })*
                Ok(())
            }

            /// Returns whether the component has an export.
            pub(super) fn has(&self, export: Export) -> bool {
                match export {
                    $(Export::$export => self.$bindings.is_some(),)*
                }
            }

            $(
                /// Returns the indices of this export, or the export if the component does not have it.
                pub(super) fn $bindings(&self) -> Result<&$bindings::GuestIndices, Export> {
                    self.$bindings.as_ref().ok_or(Export::$export)
                }
            )*
        }
    };
}

indices! {
    ReadController: read_controller;
    WriteController: write_controller;
    PlainController: plain_controller;
    IncomingHandler: incoming_handler;
    OnRoute: on_route;
    Before: before;
    After: after;
    OnError: on_error;
    Model: model;
    Actions: actions;
    Reseed: reseed;
}
