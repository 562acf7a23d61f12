//! Resources of the contract that guests hold: the handles to the database. A handle is valid for one call, whose number
//! it carries.

#![expect(unreachable_pub, reason = "the generated bindings export these types")]

use crate::transaction::SavepointId;

/// Handle that reads.
#[derive(Debug)]
pub struct Reader {
    pub(super) call: u64,
}

/// Handle that reads and writes.
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
