//! Findings: rights that a login has and guests do not need, and missing restrictions.

use std::fmt;

/// A privilege that a login for guests does not need, or a missing restriction. A guest could exploit it if the gate,
/// which is the host's check of the text of SQL statements, had a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Description of the privilege or of the missing restriction.
    pub what: String,
    /// Actions that the privilege, or the missing restriction, allows.
    pub allows: String,
    /// Remedy.
    pub remedy: Remedy,
}

/// Remedy for a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Run `carya harden --apply`.
    Harden,
    /// A task for the operator, in words.
    Advice(&'static str),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.remedy {
            Remedy::Harden => "carya harden --apply",
            Remedy::Advice(advice) => advice,
        };
        write!(f, "{}: allows {} (remedy: {remedy})", self.what, self.allows)
    }
}

/// Sorts the items, removes duplicates, and joins the first six by commas. Appends the number of the remaining items
/// if there are any.
pub(super) fn listed(mut items: Vec<String>) -> String {
    const SHOWN: usize = 6;
    items.sort();
    items.dedup();
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let text = items.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}
