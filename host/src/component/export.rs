//! The exports that the host calls, as the only list of them in the host: loading, `carya inspect`, the comparison of
//! generations with its `deny` rules, and the checks of routes and hooks use [`Export`].

use super::interface;
use crate::config::{Access, DifferenceKind};

/// An interface that a component exports and the host calls: one of the contract, or the handler of `wasi:http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Export {
    /// `read-controller`
    ReadController,
    /// `write-controller`
    WriteController,
    /// `plain-controller`
    PlainController,
    /// `wasi:http/incoming-handler`, of components that were not made for this host
    IncomingHandler,
    /// `on-route`
    OnRoute,
    /// `before`
    Before,
    /// `after`
    After,
    /// `on-error`
    OnError,
    /// `model`
    Model,
    /// `actions`
    Actions,
    /// `reseed`
    Reseed,
}

/// Which hooks run an export as a phase.
enum Hooks {
    None,
    /// Only global hooks, because the phase runs before routing.
    Global,
    All,
}

/// Version of `wasi:http` in messages, and the version with which wasmtime's bindings look up the handler. Every version
/// 0.2 is compatible with it.
const WASI_HTTP: &str = "0.2.12";

/// Properties of an export.
struct Row {
    /// Name of the interface in `wit/`, or its name with the package if it is not an interface of the contract.
    name: &'static str,
    hooks: Hooks,
    /// Capability of a component with the export. Completes the sentence "the component may ...".
    capability: &'static str,
    /// Kinds of the differences between an old and a new generation if a component gains the export.
    gains: &'static [DifferenceKind],
}

impl Export {
    /// All exports, in the order in which messages list them.
    pub const ALL: [Self; 11] = [
        Self::ReadController,
        Self::WriteController,
        Self::PlainController,
        Self::IncomingHandler,
        Self::OnRoute,
        Self::Before,
        Self::After,
        Self::OnError,
        Self::Model,
        Self::Actions,
        Self::Reseed,
    ];

    const fn row(self) -> Row {
        match self {
            Self::ReadController => Row {
                name: "read-controller",
                hooks: Hooks::None,
                capability: "read the database as a controller",
                gains: &[DifferenceKind::ComponentGainsReader],
            },
            Self::WriteController => Row {
                name: "write-controller",
                hooks: Hooks::None,
                capability: "write to the database as a controller",
                gains: &[DifferenceKind::ComponentGainsWriter],
            },
            Self::PlainController => Row {
                name: "plain-controller",
                hooks: Hooks::None,
                capability: "respond without a transaction as a controller",
                gains: &[DifferenceKind::ComponentGainsPlain],
            },
            Self::IncomingHandler => Row {
                name: "wasi:http/incoming-handler",
                hooks: Hooks::None,
                capability: "respond to requests with every access mode as a controller",
                gains: &[
                    DifferenceKind::ComponentGainsReader,
                    DifferenceKind::ComponentGainsWriter,
                    DifferenceKind::ComponentGainsPlain,
                ],
            },
            Self::OnRoute => Row {
                name: "on-route",
                hooks: Hooks::Global,
                capability: "respond before routing and change the access mode as a hook",
                gains: &[DifferenceKind::ComponentGainsOnRoute],
            },
            Self::Before => Row {
                name: "before",
                hooks: Hooks::All,
                capability: "respond in place of the controller as a hook",
                gains: &[DifferenceKind::ComponentGainsBefore],
            },
            Self::After => Row {
                name: "after",
                hooks: Hooks::All,
                capability: "change responses as a hook",
                gains: &[DifferenceKind::ComponentGainsAfter],
            },
            Self::OnError => Row {
                name: "on-error",
                hooks: Hooks::All,
                capability: "respond to failed requests as a hook",
                gains: &[DifferenceKind::ComponentGainsOnError],
            },
            Self::Model => Row {
                name: "model",
                hooks: Hooks::None,
                capability: "write to the database before a generation serves",
                gains: &[DifferenceKind::ComponentGainsModel],
            },
            Self::Actions => Row {
                name: "actions",
                hooks: Hooks::None,
                capability: "write to the database in actions, after the transaction of a request has ended",
                gains: &[DifferenceKind::ComponentGainsActions],
            },
            Self::Reseed => Row {
                name: "reseed",
                hooks: Hooks::None,
                capability: "start its instances from a warm image",
                gains: &[],
            },
        }
    }

    /// Returns the export of the contract by which a controller serves requests with this access mode.
    pub const fn controller(access: Access) -> Self {
        match access {
            Access::None => Self::PlainController,
            Access::ReadOnly => Self::ReadController,
            Access::ReadWrite => Self::WriteController,
        }
    }

    /// Returns the export with this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|export| export.name() == name)
    }

    /// Returns the export with this full interface name, such as `carya:host/before@0.2.7`. Accepts all versions that
    /// are compatible with the version of the host.
    pub fn find(interface: &str) -> Option<Self> {
        match interface::split(interface) {
            Some((name, version)) => Self::named(name).filter(|_| interface::is_compatible(version)),
            None => {
                let (name, version) = interface.split_once('@')?;
                // A release candidate such as `0.2.0-rc-2023-12-05` has other types.
                let is_compatible = version.starts_with("0.2.") && !version.contains('-');
                Self::named(name).filter(|_| is_compatible)
            }
        }
    }

    /// Returns the name of the interface in `wit/`: `before`. The name of another package's interface contains the
    /// package: `wasi:http/incoming-handler`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the full name of the interface: `carya:host/before@0.2.0`.
    pub fn interface(self) -> String {
        let name = self.name();
        if self.is_of_contract() { interface::full_name(name) } else { format!("{name}@{WASI_HTTP}") }
    }

    /// Returns the full name of the interface without its version: `carya:host/before`.
    pub fn unversioned(self) -> String {
        let name = self.name();
        if self.is_of_contract() { format!("{}/{name}", interface::PACKAGE) } else { name.to_owned() }
    }

    /// Returns whether the interface belongs to the contract in `wit/`.
    pub const fn is_of_contract(self) -> bool {
        !matches!(self, Self::IncomingHandler)
    }

    /// Returns a description of the capability that the export gives a component.
    pub const fn capability(self) -> &'static str {
        self.row().capability
    }

    /// Returns the kinds of the differences between an old and a new generation if a component gains the export.
    pub const fn gains(self) -> &'static [DifferenceKind] {
        self.row().gains
    }

    /// Returns whether the export is a phase of a hook.
    pub const fn is_hook(self) -> bool {
        matches!(self.row().hooks, Hooks::Global | Hooks::All)
    }

    /// Returns whether the export is a phase that a route-level hook can have.
    pub const fn is_route_hook(self) -> bool {
        matches!(self.row().hooks, Hooks::All)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_export_has_a_kind_that_a_rule_can_forbid() {
        // `reseed` gives a component no power.
        let has_power = |export: &Export| export.is_of_contract() && *export != Export::Reseed;
        let of_contract: Vec<_> = Export::ALL.into_iter().filter(has_power).collect();
        let kinds: BTreeSet<_> = of_contract.iter().flat_map(|export| export.gains()).copied().collect();
        assert_eq!(kinds.len(), of_contract.len(), "two exports share a kind");
        let controllers =
            [Access::ReadOnly, Access::ReadWrite, Access::None].map(|access| Export::controller(access).gains());
        assert_eq!(Export::IncomingHandler.gains(), controllers.concat(), "it serves every access mode");
        for kind in kinds {
            assert_eq!(DifferenceKind::of(kind.as_str()), Some(kind));
            assert!(kind.widens(), "{}", kind.as_str());
        }
    }

    #[test]
    fn an_export_is_found_by_its_full_name() {
        for export in Export::ALL {
            assert_eq!(Export::find(&export.interface()), Some(export));
        }
        assert_eq!(Export::find("carya:host/before@0.2.7"), Some(Export::Before));
        for version in ["0.2.0", "0.2.99"] {
            let name = format!("wasi:http/incoming-handler@{version}");
            assert_eq!(Export::find(&name), Some(Export::IncomingHandler));
        }
        for other in [
            "carya:host/before@0.1.0",
            "carya:host/database@0.2.0",
            "carya:host/incoming-handler@0.2.0",
            "wasi:cli/run@0.2.0",
            "wasi:http/incoming-handler@0.3.0",
            "wasi:http/incoming-handler@0.2.0-rc-2023-12-05",
        ] {
            assert_eq!(Export::find(other), None, "{other}");
        }
    }
}
