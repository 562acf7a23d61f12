//! Kinds of difference between two generations, with their names in rules and output. `diff.rs` detects them.

/// Kind of difference between the served generation and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names in `as_str` describe them.
pub enum DifferenceKind {
    RouteNew,
    RouteLost,
    RouteGainsAccess,
    RouteLosesAccess,
    RouteComponentChanged,
    RouteDatabaseChanged,
    ComponentNew,
    ComponentLost,
    ComponentCodeChanged,
    ComponentGainsReader,
    ComponentGainsWriter,
    ComponentGainsPlain,
    ComponentGainsOnRoute,
    ComponentGainsBefore,
    ComponentGainsAfter,
    ComponentGainsOnError,
    ComponentGainsModel,
    ComponentGainsActions,
    ComponentGainsIdentitySetter,
    ComponentGainsOutboundHttp,
    ComponentGainsSockets,
    ComponentGainsFiles,
    ComponentGainsImport,
    ComponentLosesExport,
    ComponentLosesImport,
    ComponentSettingsChanged,
    ComponentMemoryRaised,
    ComponentMemoryLowered,
    ComponentTimeoutRaised,
    ComponentTimeoutLowered,
    ComponentHttpWidened,
    ComponentHttpNarrowed,
    HookAdded,
    HookRemoved,
    HookMovedInside,
    HookMovedOutside,
    ModelChanged,
    DatabaseNew,
    DatabaseLost,
    DatabaseChanged,
    StaticNew,
    StaticLost,
    DenyRuleLifted,
}

use DifferenceKind as Kind;

impl DifferenceKind {
    /// All kinds.
    pub const ALL: [Self; 43] = [
        Kind::RouteNew,
        Kind::RouteLost,
        Kind::RouteGainsAccess,
        Kind::RouteLosesAccess,
        Kind::RouteComponentChanged,
        Kind::RouteDatabaseChanged,
        Kind::ComponentNew,
        Kind::ComponentLost,
        Kind::ComponentCodeChanged,
        Kind::ComponentGainsReader,
        Kind::ComponentGainsWriter,
        Kind::ComponentGainsPlain,
        Kind::ComponentGainsOnRoute,
        Kind::ComponentGainsBefore,
        Kind::ComponentGainsAfter,
        Kind::ComponentGainsOnError,
        Kind::ComponentGainsModel,
        Kind::ComponentGainsActions,
        Kind::ComponentGainsIdentitySetter,
        Kind::ComponentGainsOutboundHttp,
        Kind::ComponentGainsSockets,
        Kind::ComponentGainsFiles,
        Kind::ComponentGainsImport,
        Kind::ComponentLosesExport,
        Kind::ComponentLosesImport,
        Kind::ComponentSettingsChanged,
        Kind::ComponentMemoryRaised,
        Kind::ComponentMemoryLowered,
        Kind::ComponentTimeoutRaised,
        Kind::ComponentTimeoutLowered,
        Kind::ComponentHttpWidened,
        Kind::ComponentHttpNarrowed,
        Kind::HookAdded,
        Kind::HookRemoved,
        Kind::HookMovedInside,
        Kind::HookMovedOutside,
        Kind::ModelChanged,
        Kind::DatabaseNew,
        Kind::DatabaseLost,
        Kind::DatabaseChanged,
        Kind::StaticNew,
        Kind::StaticLost,
        Kind::DenyRuleLifted,
    ];

    /// Returns the name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::RouteNew => "route-new",
            Kind::RouteLost => "route-lost",
            Kind::RouteGainsAccess => "route-gains-access",
            Kind::RouteLosesAccess => "route-loses-access",
            Kind::RouteComponentChanged => "route-component-changed",
            Kind::RouteDatabaseChanged => "route-database-changed",
            Kind::ComponentNew => "component-new",
            Kind::ComponentLost => "component-lost",
            Kind::ComponentCodeChanged => "component-code-changed",
            Kind::ComponentGainsReader => "component-gains-reader",
            Kind::ComponentGainsWriter => "component-gains-writer",
            Kind::ComponentGainsPlain => "component-gains-plain",
            Kind::ComponentGainsOnRoute => "component-gains-on-route",
            Kind::ComponentGainsBefore => "component-gains-before",
            Kind::ComponentGainsAfter => "component-gains-after",
            Kind::ComponentGainsOnError => "component-gains-on-error",
            Kind::ComponentGainsModel => "component-gains-model",
            Kind::ComponentGainsActions => "component-gains-actions",
            Kind::ComponentGainsIdentitySetter => "component-gains-identity-setter",
            Kind::ComponentGainsOutboundHttp => "component-gains-outbound-http",
            Kind::ComponentGainsSockets => "component-gains-sockets",
            Kind::ComponentGainsFiles => "component-gains-files",
            Kind::ComponentGainsImport => "component-gains-import",
            Kind::ComponentLosesExport => "component-loses-export",
            Kind::ComponentLosesImport => "component-loses-import",
            Kind::ComponentSettingsChanged => "component-settings-changed",
            Kind::ComponentMemoryRaised => "component-memory-raised",
            Kind::ComponentMemoryLowered => "component-memory-lowered",
            Kind::ComponentTimeoutRaised => "component-timeout-raised",
            Kind::ComponentTimeoutLowered => "component-timeout-lowered",
            Kind::ComponentHttpWidened => "component-http-widened",
            Kind::ComponentHttpNarrowed => "component-http-narrowed",
            Kind::HookAdded => "hook-added",
            Kind::HookRemoved => "hook-removed",
            Kind::HookMovedInside => "hook-moved-inside",
            Kind::HookMovedOutside => "hook-moved-outside",
            Kind::ModelChanged => "model-changed",
            Kind::DatabaseNew => "database-new",
            Kind::DatabaseLost => "database-lost",
            Kind::DatabaseChanged => "database-changed",
            Kind::StaticNew => "static-new",
            Kind::StaticLost => "static-lost",
            Kind::DenyRuleLifted => "deny-rule-lifted",
        }
    }

    /// Returns the kind with this name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns whether the difference permits something that was not possible before. A removed hook counts: it may
    /// have been a guard.
    pub fn widens(self) -> bool {
        !matches!(
            self,
            Kind::RouteLost
                | Kind::RouteLosesAccess
                | Kind::RouteComponentChanged
                | Kind::ComponentNew
                | Kind::ComponentLost
                | Kind::ComponentCodeChanged
                | Kind::ComponentGainsImport
                | Kind::ComponentLosesExport
                | Kind::ComponentLosesImport
                | Kind::ComponentSettingsChanged
                | Kind::ComponentMemoryLowered
                | Kind::ComponentTimeoutLowered
                | Kind::ComponentHttpNarrowed
                | Kind::HookMovedOutside
                | Kind::DatabaseNew
                | Kind::DatabaseLost
                | Kind::StaticLost
        )
    }
}
