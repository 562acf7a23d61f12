//! The properties of a component that the functions of the host read when a guest calls them.

use std::{collections::BTreeMap, sync::Arc};

/// Name, settings and limits of a component, which are part of the data of each guest's store.
#[derive(Debug)]
pub struct Identity {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Settings from `[component.NAME.settings]`.
    pub settings: BTreeMap<String, String>,
    /// Whether the component can run actions.
    pub runs_actions: bool,
    /// Maximum memory of an instance, in bytes.
    pub(super) memory: usize,
}
