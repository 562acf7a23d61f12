//! Resources of the contract: handles to the database, which guests hold during a call. A handle contains the number of
//! the call that received it, and is valid only during this call.

#![expect(unreachable_pub, reason = "the generated bindings export these types")]

use crate::transaction::SavepointId;

/// Handle for queries.
#[derive(Debug)]
pub struct Reader {
    pub(super) call: u64,
}

/// Handle for queries and statements that write.
#[derive(Debug)]
pub struct Writer {
    pub(super) call: u64,
}

/// Handle to an open savepoint.
#[derive(Debug)]
pub struct Savepoint {
    pub(super) call: u64,
    pub(super) id: SavepointId,
}
