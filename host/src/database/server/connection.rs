//! A connection to a server in a transaction. Statements of guests pass the gate; statements of the host do not.

use std::{mem, sync::Arc, time::Instant};

use deadpool::managed::Object;
use tokio::runtime::Handle;

use super::{
    Counted, Server,
    link::{Link, Mode, Outcome},
    opener::{Left, Opener, Slot},
    runaway::{self, Sent},
};
use crate::{
    config::{Access, Dialect},
    database::{
        Limits,
        receiver::{self, Failure, GRACE, Receiver},
        waiting, was_lent,
    },
    gate::{Placeholder, Rules},
    sql::{
        Position,
        error::{DbError, Kind, Stale},
        value::Value,
    },
};

/// A connection in a transaction. If it is dropped before the transaction has ended, the connection is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    slot: Option<Object<Opener>>,
    server: Arc<Server>,
    mode: Mode,
    transaction: Option<String>,
    in_transaction: bool,
    sent: Sent,
    /// A message was sent and the end of its answer was not received.
    running: bool,
    /// A statement failed. After that some servers accept only the end of the transaction.
    failed: bool,
    /// The connection was lent before, so its prepared statements may be older than the schema.
    kept: bool,
    /// The connection's prepared statements are older than the schema.
    is_retired: bool,
    in_flight: Option<Counted>,
}

impl Connection {
    /// Wraps a connection from a pool on which no transaction has begun.
    pub(super) fn idle(slot: Object<Opener>, server: Arc<Server>) -> Self {
        let kept = was_lent(&slot);
        Self {
            slot: Some(slot),
            server,
            mode: Mode { access: Access::None, isolation: None },
            transaction: None,
            in_transaction: false,
            sent: Sent::default(),
            running: false,
            failed: false,
            kept,
            is_retired: false,
            in_flight: None,
        }
    }

    /// Begins a transaction on a connection from a pool. `since` is the time at which the caller started to wait for
    /// the connection. A [`Left::Begun`] transaction is taken over if it began after `since`; an older one might have a
    /// snapshot without changes that the caller expects, so it is rolled back.
    pub(super) async fn begin(
        slot: Object<Opener>,
        server: Arc<Server>,
        mode: Mode,
        since: Instant,
    ) -> Result<Self, DbError> {
        let times = Object::pool(&slot).map(|pool| pool.manager().times);
        let times = times.ok_or_else(|| DbError::new(Kind::Lost, "the pool is closed"))?;
        let mut connection = Self::idle(slot, server);
        connection.mode = mode;
        connection.transaction = match mem::take(&mut connection.slot()?.left) {
            Left::Begun { name, at } if mode == Mode::NEXT && at >= since => name,
            left => {
                connection.running = true;
                let link = connection.link()?;
                let begin = async {
                    let open = match left {
                        Left::Nothing => None,
                        Left::Open(mode) => Some(mode),
                        // Too old, or of another mode. `rollback` also resets the state of the session.
                        Left::Begun { .. } => {
                            link.rollback(Access::ReadWrite).await?;
                            None
                        }
                    };
                    link.begin(mode, open).await
                };
                let begun = tokio::time::timeout(times.statement + GRACE, begin).await;
                connection.unless_lost(begun.unwrap_or_else(|_| Err(silent())))?
            }
        };
        (connection.in_transaction, connection.running) = (true, false);
        Ok(connection)
    }

    /// Marks the connection as opened for this transaction, so that its failures do not count as stale statements.
    pub(super) fn made_anew(mut self) -> Self {
        self.kept = false;
        self
    }

    /// Counts this connection among those that are in use on its replica.
    pub(super) fn count(&mut self, in_flight: Counted) {
        self.in_flight = Some(in_flight);
    }

    /// Returns the position that the server has reached.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        self.running = true;
        let position = self.link()?.position(of_replica).await;
        let position = self.unless_lost(position)?;
        self.running = false;
        Ok(position)
    }

    /// Returns the outcome of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<Outcome, DbError> {
        self.running = true;
        let outcome = self.link()?.outcome(transaction).await;
        let outcome = self.unless_lost(outcome)?;
        self.running = false;
        Ok(outcome)
    }

    pub(in crate::database) fn limits(&self) -> Limits {
        self.server.limits
    }

    pub(in crate::database) fn dialect(&self) -> Dialect {
        self.server.dialect
    }

    pub(in crate::database) fn access(&self) -> Access {
        self.mode.access
    }

    /// Returns the rules of the gate for this connection.
    pub(in crate::database) fn rules(&self) -> Result<&Rules, DbError> {
        self.slot.as_ref().and_then(|slot| slot.link.as_ref()).map(Link::rules).ok_or_else(gone)
    }

    /// Returns an error if statements of this component that the server has not ended use up its share of the pool.
    pub(in crate::database) fn check_runaways(&self, component: &str) -> Result<(), DbError> {
        self.slot.as_ref().map_or(Ok(()), |slot| slot.runaways.check(component))
    }

    /// Runs a statement. Its text stays in `sent` for [`runaway::end`], also if the caller drops this future.
    pub(in crate::database) async fn run(
        &mut self,
        sent: Sent,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), DbError> {
        (self.running, self.sent) = (true, sent);
        let patience = self.server.limits.statement_timeout + GRACE;
        let Some(link) = self.slot.as_mut().and_then(|slot| slot.link.as_mut()) else { return Err(gone()) };
        let run = link.run(&self.sent.sql, placeholders, params, receiver);
        let timed_out = |_| Err(Failure { error: receiver::timed_out(), is_cut_off: true });
        let Err(Failure { error, is_cut_off }) = tokio::time::timeout(patience, run).await.unwrap_or_else(timed_out)
        else {
            self.running = false;
            return Ok(());
        };
        // A statement that was cut off may still run. Then `running` stays set, and `drop` ends the session.
        (self.running, self.failed) = (is_cut_off, true);
        let error = DbError { stale: if self.kept { error.stale } else { Stale::No }, ..error };
        if error.kind == Kind::Lost {
            self.forsake_siblings();
        }
        if error.stale == Stale::Yes {
            self.retire();
        }
        self.unless_lost(Err(error))
    }

    /// Takes a lost connection out of the pool. Its session must not be ended on the server: no statement runs on it
    /// any more, and after a restart the server may have given its id to another session.
    fn unless_lost<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        if matches!(&result, Err(error) if error.kind == Kind::Lost) {
            self.slot.take().map(Object::take);
        }
        result
    }

    /// Returns whether a statement failed because it was prepared before the schema changed. For [`Stale::Perhaps`] the
    /// connection looks this up, which ends the transaction.
    pub(in crate::database) async fn confirm_stale(&mut self, stale: Stale) -> bool {
        match stale {
            Stale::No => false,
            Stale::Yes => true,
            Stale::Perhaps if self.running => false,
            Stale::Perhaps => {
                self.running = true;
                let patience = self.server.limits.statement_timeout + GRACE;
                let Ok(link) = self.link() else { return false };
                let Ok(Ok(is_stale)) = tokio::time::timeout(patience, link.confirm_stale()).await else {
                    // `running` stays set, so that `drop` closes the connection.
                    return false;
                };
                self.running = false;
                if is_stale {
                    self.retire();
                }
                is_stale
            }
        }
    }

    /// Closes this connection when it is dropped, and the pool's idle connections that are as old.
    fn retire(&mut self) {
        let Some(slot) = &self.slot else { return };
        let (Some(pool), vintage) = (Object::pool(slot), slot.vintage) else { return };
        pool.manager().vintage.renew_after(vintage);
        let current = pool.manager().vintage.current();
        drop(pool.retain(|slot, _| slot.vintage == current));
        self.is_retired = true;
    }

    /// Closes the idle connections of the same pool. The cause of this failure, such as a restart of the server, has
    /// probably broken them too.
    fn forsake_siblings(&self) {
        if let Some(pool) = self.slot.as_ref().and_then(Object::pool) {
            drop(pool.retain(|_, _| false));
        }
    }

    pub(in crate::database) async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        self.say(format!("SAVEPOINT carya_{level}")).await
    }

    pub(in crate::database) async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.say(format!("RELEASE SAVEPOINT carya_{level}")).await
    }

    pub(in crate::database) async fn rollback_to(&mut self, level: usize) -> Result<(), DbError> {
        self.say(format!("ROLLBACK TO SAVEPOINT carya_{level}; RELEASE SAVEPOINT carya_{level}")).await
    }

    pub(in crate::database) fn transaction_id(&self) -> Option<&str> {
        self.transaction.as_deref()
    }

    /// Commits. If all callers that wait for the connection are writers, begins their transaction in the same message.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Lost`] if the server neither confirmed nor refused the commit.
    pub(in crate::database) async fn commit(mut self) -> Result<Option<Position>, DbError> {
        self.running = true;
        let with_position = self.server.has_replicas();
        let next = self.mode == Mode::NEXT && self.server.want_next(self.waiting());
        let (patience, at) = (self.server.limits.commit_timeout, Instant::now());
        let ended = tokio::time::timeout(patience, self.link()?.commit(with_position, next)).await;
        let end = self.unless_lost(ended.unwrap_or_else(|_| Err(silent())))?;
        if next {
            self.slot()?.left = Left::Begun { name: end.next, at };
        }
        (self.in_transaction, self.running) = (false, !end.is_in_order);
        Ok(end.position)
    }

    /// Leaves a read transaction to a caller that waits for the connection; that caller ends it in the message that
    /// begins its own transaction. Returns the connection if no caller waits, or if the transaction cannot be left
    /// open.
    pub(in crate::database) fn hand_over(mut self) -> Option<Self> {
        let is_in_order = self.mode.access == Access::ReadOnly && !self.running && !self.failed;
        let is_awaited = is_in_order && self.waiting() > 0;
        match self.slot.as_mut().filter(|_| is_awaited) {
            Some(slot) => {
                slot.left = Left::Open(self.mode);
                self.in_transaction = false;
                None
            }
            None => Some(self),
        }
    }

    /// Returns the number of callers that wait for the connection.
    fn waiting(&self) -> usize {
        self.slot.as_ref().map_or(0, waiting)
    }

    pub(in crate::database) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A statement was cut off and may still run. Dropping the connection ends the statement and the
            // transaction.
            return Ok(());
        }
        self.running = true;
        let patience = self.server.limits.statement_timeout + GRACE;
        let access = self.mode.access;
        let ended = tokio::time::timeout(patience, self.link()?.rollback(access)).await;
        self.unless_lost(ended.unwrap_or_else(|_| Err(silent())))?;
        (self.in_transaction, self.running) = (false, false);
        Ok(())
    }

    async fn say(&mut self, sql: String) -> Result<(), DbError> {
        self.running = true;
        let patience = self.server.limits.statement_timeout + GRACE;
        let said = tokio::time::timeout(patience, self.link()?.say(sql)).await;
        let result = self.unless_lost(said.unwrap_or_else(|_| Err(silent())));
        self.running = false;
        result
    }

    fn slot(&mut self) -> Result<&mut Slot, DbError> {
        self.slot.as_deref_mut().ok_or_else(gone)
    }

    fn link(&mut self) -> Result<&mut Link, DbError> {
        self.slot()?.link.as_mut().ok_or_else(gone)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let is_closed = self.in_transaction || self.running || self.is_retired;
        let Some(slot) = self.slot.take().filter(|_| is_closed) else { return };
        match Handle::try_current() {
            Ok(runtime) if self.running => drop(runtime.spawn(runaway::end(slot, mem::take(&mut self.sent)))),
            // No statement runs: dropping the connection closes it, and the server rolls back. `take` lets the pool
            // open another connection.
            _ => drop(Object::take(slot)),
        }
    }
}

fn gone() -> DbError {
    DbError::new(Kind::Lost, "the connection is gone")
}

pub(super) fn silent() -> DbError {
    DbError::new(Kind::Lost, "the server did not answer in time")
}
