//! `[registry."HOST"]`.

use std::{fmt, path::PathBuf};

use super::{
    quantity::{size, written_size},
    section::{Section, TableKey},
    value::{password, path, text},
};

/// `[registry."HOST"]`: access to an OCI registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The user. `None`: requests are anonymous.
    pub login: Option<Login>,
    /// PEM file with certificates of authorities that are trusted in addition to those of the system.
    pub ca: Option<PathBuf>,
    /// Maximum size of a component, in bytes.
    pub max_size: usize,
}

/// The settings of a registry without a section.
impl Default for Registry {
    fn default() -> Self {
        Self { login: None, ca: None, max_size: 256 << 20 }
    }
}

/// A user of a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The password. Must not be shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

pub(super) const REGISTRY: TableKey = TableKey { name: "registry", doc: "registries of components, by host" };

pub(super) fn registry(section: &mut Section<'_>) -> Registry {
    let folder = section.context().folder;
    let username = section.key("username", text(), "login for this registry").required_with("password");
    let password = section.key("password", password(), "password of this login").required_with("username");
    let login = username.zip(password);
    Registry {
        login: login.map(|(username, password)| Login { username, password }),
        ca: section
            .key("ca", path(folder), "PEM file with an authority that is trusted besides those of the system")
            .or_none("none"),
        max_size: section
            .key("max_size", size(), "largest component that is pulled")
            .or(written_size(Registry::default().max_size)),
    }
}
