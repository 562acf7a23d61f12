//! One connection to a server in a transaction: guests' statements through the gate, the host's past it.

use std::{mem, sync::Arc, time::Instant};

use deadpool::managed::Object;
use tokio::runtime::Handle;

use super::{
    Counted, Server,
    link::{Link, Mode, Outcome},
    opener::{Left, Opener, Slot},
    runaway::{self, Sent},
};
use crate::database::{
    Access, Limits, Position, Statement,
    error::{DbError, Kind, Stale},
    guard,
    sink::{self, GRACE, Run, Sink},
    value::{Execution, Rows, Value},
    waiting, was_lent,
};

/// A connection in a transaction. Dropped before it is ended it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    slot: Option<Object<Opener>>,
    server: Arc<Server>,
    mode: Mode,
    transaction: Option<String>,
    in_transaction: bool,
    sent: Sent,
    /// Something was sent and its end not seen.
    running: bool,
    /// A statement failed, after which some servers take nothing but the end.
    failed: bool,
    /// It was in use before, so that what is prepared on it may be older than the schema.
    kept: bool,
    /// What is prepared on it is older than the schema.
    is_retired: bool,
    in_flight: Option<Counted>,
}

impl Connection {
    /// A connection from a pool, in no transaction.
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

    /// Begins a transaction on a connection from a pool, for somebody who has waited for it since a moment. One that was
    /// begun for them while they waited is theirs; an older one may not see what they expect to see.
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

    /// The same connection, which was made for this transaction in the place of one that the pool had.
    pub(super) fn made_anew(mut self) -> Self {
        self.kept = false;
        self
    }

    /// Counts this connection as one that its replica is busy with.
    pub(super) fn count(&mut self, in_flight: Counted) {
        self.in_flight = Some(in_flight);
    }

    /// How far the server has come.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        self.running = true;
        let position = self.link()?.position(of_replica).await;
        let position = self.unless_lost(position)?;
        self.running = false;
        Ok(position)
    }

    /// What became of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<Outcome, DbError> {
        self.running = true;
        let outcome = self.link()?.outcome(transaction).await;
        let outcome = self.unless_lost(outcome)?;
        self.running = false;
        Ok(outcome)
    }

    /// What holds for guests' statements.
    pub(in crate::database) fn limits(&self) -> Limits {
        self.server.limits
    }

    /// Runs a guest's statement.
    pub(in crate::database) async fn guest(
        &mut self,
        statement: Statement,
        sink: &mut Sink<'_>,
    ) -> Result<Execution, DbError> {
        let Statement { component, sql, params } = statement;
        let (limits, access) = (self.server.limits, self.mode.access);
        let checked = self.link()?.rules().check(&sql, &params, access)?;
        self.slot()?.runaways.check(&component)?;
        let shown = sink::shown(&params, limits);
        let mut run = Run::new(sink, limits, checked.verb);
        self.sent = Sent { component: Some(component), sql };
        let result = self.run(&checked.placeholders, params, &mut run).await;
        if limits.echo {
            run.echo(&self.sent.sql, shown.as_deref());
        }
        result.map(|()| run.done)
    }

    /// Runs a query of the host's own.
    pub(in crate::database) async fn query_as_host(
        &mut self,
        sql: String,
        params: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, DbError> {
        let mut rows = Rows::default();
        self.host(sql, params, Sink::Rows(&mut rows)).await?;
        Ok(rows.rows)
    }

    /// Runs a statement of the host's own.
    pub(in crate::database) async fn execute_as_host(
        &mut self,
        sql: String,
        params: Vec<Value>,
    ) -> Result<Execution, DbError> {
        self.host(sql, params, Sink::Nothing).await
    }

    async fn host(&mut self, sql: String, params: Vec<Value>, mut sink: Sink<'_>) -> Result<Execution, DbError> {
        let placeholders = guard::placeholders(self.server.dialect, &sql);
        let mut run = Run::new(&mut sink, self.server.limits, guard::Verb::Change);
        self.sent = Sent { component: None, sql };
        self.run(&placeholders, params, &mut run).await?;
        Ok(run.done)
    }

    /// Runs the statement in `sent`, which stays there for the log, also where the caller drops this future.
    async fn run(
        &mut self,
        placeholders: &[guard::Placeholder],
        params: Vec<Value>,
        run: &mut Run<'_, '_>,
    ) -> Result<(), DbError> {
        self.running = true;
        let patience = self.server.limits.statement_timeout + GRACE;
        let Some(link) = self.slot.as_mut().and_then(|slot| slot.link.as_mut()) else { return Err(gone()) };
        let result = match tokio::time::timeout(patience, link.run(&self.sent.sql, placeholders, params, run)).await {
            Ok(result) => result,
            Err(_) => Err((sink::too_long(), true)),
        };
        match result {
            Ok(()) => {
                self.running = false;
                Ok(())
            }
            Err((error, is_cut_off)) => {
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
        }
    }

    /// Lets go of a connection that is lost. Nothing runs there any more; and by its number a server that has started
    /// again knows another session, which must not be ended in its place.
    fn unless_lost<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        if matches!(&result, Err(error) if error.kind == Kind::Lost) {
            self.slot.take().map(Object::take);
        }
        result
    }

    /// Whether a statement that failed was prepared for another schema: `Perhaps` is looked up, which ends the transaction.
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
                    // `running` stays set, and the connection will be closed.
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

    /// Closes this connection when it is given back, and others that are as old.
    fn retire(&mut self) {
        let Some(slot) = &self.slot else { return };
        let (Some(pool), vintage) = (Object::pool(slot), slot.vintage) else { return };
        pool.manager().vintage.renew_after(vintage);
        let current = pool.manager().vintage.current();
        drop(pool.retain(|slot, _| slot.vintage == current));
        self.is_retired = true;
    }

    /// Closes the idle connections of the same pool: what this one was lost to, a restart or a change of the schema,
    /// they met as well.
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

    /// Commits, and begins the next transaction where those who wait for the connection are writers. Whatever goes wrong
    /// from here on without the server's word on it is [`Kind::Lost`].
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

    /// Leaves the end of a reading transaction to somebody who waits for the connection: they end it in the message that
    /// begins theirs. Gives it back if nobody waits.
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

    /// How many wait for the connection.
    fn waiting(&self) -> usize {
        self.slot.as_ref().map_or(0, waiting)
    }

    pub(in crate::database) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A statement was cut off, and may still be running: closing the connection ends both.
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
            // Taken out of the pool, which opens another when it needs one; dropping it closes it, and the server
            // rolls back.
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
