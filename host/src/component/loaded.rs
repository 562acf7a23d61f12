//! Loaded components, ready to be instantiated.

use std::{sync::Arc, time::Duration};

use super::{
    capabilities::Capabilities, export::Export, indices::Indices, instances::InstancePool, properties::Properties,
};
use crate::{
    config::{self, Access},
    content::Digest,
    outbound::Network,
};

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub struct Component {
    /// Name, settings and limits, which the functions of the host read when a guest calls them.
    pub properties: Arc<Properties>,
    pub(super) indices: Indices,
    pub(super) instances: Arc<InstancePool>,
    /// Maximum duration of a call.
    pub timeout: Duration,
    /// SHA-256 of the file.
    pub digest: String,
    pub(super) warm: Option<config::Warm>,
    /// Digest of everything that determines the image with which instances start. `None`: they start as the file says.
    pub(crate) image: Option<Digest>,
    /// Whether the compiled code was in the cache.
    pub cached: bool,
    /// Exports, imports, and the capabilities that follow from them.
    pub capabilities: Capabilities,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("properties", &self.properties)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Component {
    /// Returns whether the component was loaded with the same settings. Does not compare its file.
    pub(super) fn is_set_up_as(&self, config: &config::ComponentConfig, network: &Arc<Network>) -> bool {
        // All fields are named, so that a new one is not forgotten here. `Policy::is_of` compares those of `http`.
        let config::ComponentConfig {
            path: _,
            image: _,
            build: _,
            settings,
            memory,
            timeout,
            http: _,
            http_timeout: _,
            http_max_response: _,
            max_concurrent: _,
            reuse: _,
            warm,
        } = config;
        (&self.properties.settings, &self.properties.memory, &self.timeout, &self.warm)
            == (settings, memory, timeout, warm)
            && self.instances.max_requests() == config.max_requests()
            && self.properties.outbound.is_of(config, network)
    }

    /// Drops the idle instances that have waited for a request for more than 10 s, and those that have served their
    /// last request.
    pub fn shrink(&self) {
        self.instances.shrink();
    }

    /// Returns the maximum memory of an instance, in bytes.
    pub fn memory(&self) -> usize {
        self.properties.memory
    }

    /// Returns the name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.properties.name
    }

    /// Returns the export by which the component serves requests with this access mode as a controller. Returns `None`
    /// if it cannot serve them.
    pub fn controller(&self, access: Access) -> Option<Export> {
        [Export::controller(access), Export::IncomingHandler].into_iter().find(|export| self.exports(*export))
    }

    /// Returns whether the component has an export.
    pub fn exports(&self, export: Export) -> bool {
        self.indices.has(export)
    }
}
