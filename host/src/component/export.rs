//! The exports of the contract, as the only list of them in the host: loading, `carya inspect`, the comparison of
//! generations with its `deny` rules, and the checks of routes and hooks use [`Export`].

use super::interface;
use crate::config::{Access, DifferenceKind};

/// An interface of the contract that a component exports and the host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Export {
    /// `read-controller`
    ReadController,
    /// `write-controller`
    WriteController,
    /// `plain-controller`
    PlainController,
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
}

/// Which hooks run an export as a phase.
enum Hooks {
    None,
    /// Only global hooks, because the phase runs before routing.
    Global,
    All,
}

/// Properties of an export.
struct Row {
    /// Name of the interface in `wit/`.
    name: &'static str,
    hooks: Hooks,
    /// Capability of a component with the export. Completes the sentence "the component may ...".
    capability: &'static str,
    /// Kind of the difference between an old and a new generation if a component gains the export.
    gain: DifferenceKind,
}

impl Export {
    /// All exports, in the order in which messages list them.
    pub const ALL: [Self; 9] = [
        Self::ReadController,
        Self::WriteController,
        Self::PlainController,
        Self::OnRoute,
        Self::Before,
        Self::After,
        Self::OnError,
        Self::Model,
        Self::Actions,
    ];

    const fn row(self) -> Row {
        match self {
            Self::ReadController => Row {
                name: "read-controller",
                hooks: Hooks::None,
                capability: "read the database as a controller",
                gain: DifferenceKind::ComponentGainsReader,
            },
            Self::WriteController => Row {
                name: "write-controller",
                hooks: Hooks::None,
                capability: "write to the database as a controller",
                gain: DifferenceKind::ComponentGainsWriter,
            },
            Self::PlainController => Row {
                name: "plain-controller",
                hooks: Hooks::None,
                capability: "respond without a transaction as a controller",
                gain: DifferenceKind::ComponentGainsPlain,
            },
            Self::OnRoute => Row {
                name: "on-route",
                hooks: Hooks::Global,
                capability: "respond before routing and change the access mode as a hook",
                gain: DifferenceKind::ComponentGainsOnRoute,
            },
            Self::Before => Row {
                name: "before",
                hooks: Hooks::All,
                capability: "respond in place of the controller as a hook",
                gain: DifferenceKind::ComponentGainsBefore,
            },
            Self::After => Row {
                name: "after",
                hooks: Hooks::All,
                capability: "change responses as a hook",
                gain: DifferenceKind::ComponentGainsAfter,
            },
            Self::OnError => Row {
                name: "on-error",
                hooks: Hooks::All,
                capability: "respond to failed requests as a hook",
                gain: DifferenceKind::ComponentGainsOnError,
            },
            Self::Model => Row {
                name: "model",
                hooks: Hooks::None,
                capability: "write to the database before a generation serves",
                gain: DifferenceKind::ComponentGainsModel,
            },
            Self::Actions => Row {
                name: "actions",
                hooks: Hooks::None,
                capability: "write to the database in actions, after the transaction of a request has ended",
                gain: DifferenceKind::ComponentGainsActions,
            },
        }
    }

    /// Returns the export that a controller needs for requests with this access mode.
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
        let (name, version) = interface::split(interface)?;
        Self::named(name).filter(|_| interface::is_compatible(version))
    }

    /// Returns the name of the interface in `wit/`: `before`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the full name of the interface: `carya:host/before@0.2.0`.
    pub fn interface(self) -> String {
        interface::full_name(self.name())
    }

    /// Returns a description of the capability that the export gives a component.
    pub const fn capability(self) -> &'static str {
        self.row().capability
    }

    /// Returns the kind of the difference between an old and a new generation if a component gains the export.
    pub const fn gain(self) -> DifferenceKind {
        self.row().gain
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
        let kinds: BTreeSet<_> = Export::ALL.into_iter().map(Export::gain).collect();
        assert_eq!(kinds.len(), Export::ALL.len(), "two exports share a kind");
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
        for other in ["carya:host/before@0.1.0", "carya:host/database@0.2.0", "wasi:cli/run@0.2.0"] {
            assert_eq!(Export::find(other), None, "{other}");
        }
    }
}
