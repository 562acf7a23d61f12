//! The properties of a component that the functions of the host read when a guest calls them.

use std::{collections::BTreeMap, sync::Arc};

use crate::{outbound::Policy, quota::Quota};

/// Name, settings and limits of a component, which are part of the data of each guest's store.
#[derive(Debug)]
pub struct Properties {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Settings from `[component.NAME.settings]`.
    pub settings: BTreeMap<String, String>,
    /// Whether the component can run actions.
    pub runs_actions: bool,
    /// The HTTP requests that the component may send.
    pub(crate) outbound: Policy,
    /// Maximum memory of an instance, in bytes.
    pub(super) memory: usize,
    /// Memory that the guests of all components have allocated, in bytes.
    pub(super) growth: Arc<Quota>,
}

#[cfg(test)]
impl Properties {
    /// Returns the properties of a component named `it`, which has no settings and may send no requests.
    pub(super) fn with_memory(memory: usize) -> Self {
        let outbound = Policy::new("it", &crate::config::ComponentConfig::of("it".into()), Arc::default());
        Self {
            name: "it".into(),
            settings: BTreeMap::new(),
            runs_actions: false,
            outbound,
            memory,
            growth: Arc::new(Quota::at_most(usize::MAX)),
        }
    }
}
