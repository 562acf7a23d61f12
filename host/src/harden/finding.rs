//! Findings: rights that a login has and guests do not need, and missing restrictions.

use std::fmt;

/// A privilege that a guest could use if the gate had a hole, or a missing restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The privilege or setting that exists, or that is missing.
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

/// Joins the first six items, in alphabetical order, for a line of text. Adds the number of the remaining items.
pub(super) fn listed(mut items: Vec<String>) -> String {
    const SHOWN: usize = 6;
    items.sort();
    items.dedup();
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let text = items.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}
