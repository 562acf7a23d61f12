//! `[outbound]`: the limits of a host for the outbound HTTP requests of its guests.

use std::path::PathBuf;

use super::{
    destination::{Destination, destination},
    section::{Section, TableKey},
    types::Type,
    value::{boolean, integer, path},
};

/// `[outbound]`: HTTP requests that guests may send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Destinations that components may have in their `http`.
    pub allow: Vec<Destination>,
    /// Whether addresses that are not reachable from everywhere are permitted, such as those of a private network.
    pub allow_private: bool,
    /// PEM file with certificates of authorities that are trusted in addition to those of the system.
    pub ca: Option<PathBuf>,
    /// Maximum number of requests that each component has in flight.
    pub max_in_flight: usize,
    /// Whether guests may send requests while a transaction is open.
    pub in_transaction: bool,
}

pub(super) const OUTBOUND: TableKey = TableKey {
    name: "outbound",
    doc: "HTTP requests that guests may send; see [Outbound HTTP](../guides/outbound.md)",
};

pub(super) fn outbound(section: &mut Section<'_>) -> Outbound {
    let folder = section.context().folder;
    Outbound {
        allow: section
            .key("allow", Type::list(destination()), "destinations that components may list in `http`")
            .or_empty(),
        allow_private: section
            .key(
                "allow_private",
                boolean(),
                "permit addresses that are not reachable from everywhere, such as `127.0.0.1` and `10.0.0.1`",
            )
            .or(false),
        ca: section
            .key("ca", path(folder), "PEM file with authorities that are trusted besides those of the system")
            .or_none("none"),
        max_in_flight: section
            .key("max_in_flight", integer(1..=100_000), "requests of each component at the same time")
            .or(64),
        in_transaction: section
            .key("in_transaction", boolean(), "permit requests after the first statement of a transaction")
            .or(false),
    }
}
