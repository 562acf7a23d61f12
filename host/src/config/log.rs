//! `[log]`.

use super::{
    quantity::size,
    section::{Section, TableKey},
};
use crate::telemetry::Limits;

pub(super) const LOG: TableKey =
    TableKey { name: "log", doc: "limits of the log; see [Limits of the log](limits.md#limits-of-the-log)" };

pub(super) fn log(section: &mut Section<'_>) -> Limits {
    Limits {
        max_per_request: section
            .key("max_per_request", size(), "lines that the guests of one request write; further ones are counted")
            .or("64KiB"),
        max_per_second: section
            .key(
                "max_per_second",
                size(),
                "lines of the guests of one component, statements, and each kind of warning or error; further ones are \
                 counted",
            )
            .or("1MiB"),
    }
}
