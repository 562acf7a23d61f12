//! `[transaction]`, and the settings of transactions that routes share with it.

use std::ops::RangeInclusive;

use super::{
    section::{Section, TableKey},
    types::Type,
    value::{boolean, integer, statuses, word},
};

/// `[transaction]`: settings of transactions, which routes can override.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Priority of the transaction among the hooks: those with this priority or a higher one run inside it.
    pub priority: i32,
    /// The statuses that commit.
    pub commit_on: StatusSet,
    /// Whether redirects roll back.
    pub rollback_on_redirect: bool,
    /// Maximum number of times that a request is run again after a conflict with another transaction.
    pub retries: u32,
    /// Isolation level of transactions. `None`: the default of the database.
    pub isolation: Option<Isolation>,
}

/// Access of a request to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// No handle.
    None,
    /// A handle that reads.
    ReadOnly,
    /// A handle that reads and writes.
    ReadWrite,
}

impl Access {
    /// All access modes.
    pub const ALL: [Access; 3] = [Access::None, Access::ReadOnly, Access::ReadWrite];

    /// Returns the name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        }
    }
}

/// Isolation level of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each statement sees the transactions that were committed before the statement.
    ReadCommitted,
    /// All statements see the transactions that were committed before the first statement.
    RepeatableRead,
    /// Transactions have the same result as if they ran one after the other.
    Serializable,
}

impl Isolation {
    /// All isolation levels.
    pub const ALL: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

    /// Returns the name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read-committed",
            Isolation::RepeatableRead => "repeatable-read",
            Isolation::Serializable => "serializable",
        }
    }

    /// Returns the name in SQL, after `ISOLATION LEVEL`.
    pub fn as_sql(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        }
    }
}

/// A set of HTTP statuses, written as `["2xx", "404"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Makes the set of the statuses in any of these ranges.
    pub fn new(ranges: Vec<RangeInclusive<u16>>) -> Self {
        let mut merged: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                // Adjacent classes make one range: fewer comparisons for each request.
                Some(last) if last.end() + 1 == *range.start() => *last = *last.start()..=*range.end(),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Returns the empty set.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

pub(super) const TRANSACTION: TableKey = TableKey { name: "transaction", doc: "transactions of all routes" };

pub(super) fn transaction(section: &mut Section<'_>) -> Transaction {
    Transaction {
        priority: section
            .key("priority", priority(), "hooks with this priority or more are inside the transaction")
            .or(DEFAULT_PRIORITY),
        commit_on: section.key("commit_on", status_set(), "statuses that commit").or(SUCCESS),
        rollback_on_redirect: section.key("rollback_on_redirect", boolean(), "3xx rolls back").or(false),
        retries: section
            .key(
                "retries",
                retries(),
                "further attempts after a conflict, or of a read on the primary; see \
                 [Retries](../explanation/retries.md)",
            )
            .or(2),
        isolation: section
            .key("isolation", isolation(), "isolation level; SQLite is always serializable")
            .or_none("the database's"),
    }
}

/// Default priority of the transaction and of hooks.
pub(super) const DEFAULT_PRIORITY: i32 = 100;

/// Statuses of success.
pub(super) const SUCCESS: [&str; 2] = ["2xx", "3xx"];

pub(super) fn priority() -> Type<'static, i32> {
    integer(-10_000..=10_000)
}

pub(super) fn retries() -> Type<'static, u32> {
    integer(0..=10)
}

pub(super) fn isolation() -> Type<'static, Isolation> {
    word("an isolation level", Isolation::ALL, Isolation::as_str)
}

pub(super) fn access() -> Type<'static, Access> {
    word("an access mode", Access::ALL, Access::as_str)
}

pub(super) fn status_set() -> Type<'static, StatusSet> {
    statuses().map(StatusSet::new)
}
