//! A session that is lent to one transaction. It does not check statements: the caller must have checked guests'
//! statements with the gate.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{Object, Pool};
use tokio::runtime::Handle;

use super::{
    abandoned,
    catalogue::Catalogue,
    opener::{Opener, PooledSession},
    runaway::Sent,
    session::ServerSession,
    transaction::{TransactionStatus, connection_lost, no_answer},
};
use crate::{
    config::{Access, Dialect},
    database::{
        hand_over::{CountGuard, OpenTransaction, TakeOver},
        options::{Limits, Mode},
        pool::was_lent,
        receiver::{self, Failure, GRACE, Receiver},
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
    pooled: Option<Object<Opener>>,
    pool: Pool<Opener>,
    mode: Mode,
    transaction: Option<String>,
    in_transaction: bool,
    sent: Sent,
    /// Whether a message was sent and the end of its answer was not received.
    running: bool,
    /// Whether a statement failed. After that some servers accept only the end of the transaction.
    failed: bool,
    /// Whether the connection was lent before, so that its prepared statements may be older than the schema.
    was_lent: bool,
    /// Whether the connection's prepared statements are older than the schema.
    is_retired: bool,
    in_flight: Option<CountGuard>,
    /// Completes the errors of violated constraints. `None` if this connection only reads, or belongs to the host.
    catalogue: Option<Arc<Catalogue>>,
}

impl Connection {
    /// Wraps a connection of the pool on which no transaction has begun.
    pub(super) fn idle(pooled: Object<Opener>, pool: Pool<Opener>) -> Self {
        let was_lent = was_lent(&pooled);
        Self {
            pooled: Some(pooled),
            pool,
            mode: Mode { access: Access::None, isolation: None },
            transaction: None,
            in_transaction: false,
            sent: Sent::default(),
            running: false,
            failed: false,
            was_lent,
            is_retired: false,
            in_flight: None,
            catalogue: None,
        }
    }

    /// Begins a transaction on a connection of the pool, or takes over the open transaction. `since` is the time at
    /// which the caller started to wait for the connection.
    pub(super) async fn begin(
        pooled: Object<Opener>,
        pool: Pool<Opener>,
        mode: Mode,
        since: Instant,
    ) -> Result<Self, DbError> {
        let timeout = pool.manager().timeouts.statement + GRACE;
        let mut connection = Self::idle(pooled, pool);
        connection.mode = mode;
        connection.transaction = match connection.pooled()?.open.take(mode, since) {
            TakeOver::Use { name } => name,
            other => {
                connection.running = true;
                let session = connection.session()?;
                let begin = async {
                    let open = match other {
                        TakeOver::EndAndBegin(open) => Some(open),
                        TakeOver::RollBackAndBegin => {
                            session.rollback(Access::ReadWrite).await?;
                            None
                        }
                        TakeOver::Begin | TakeOver::Use { .. } => None,
                    };
                    session.begin(mode, open).await
                };
                let begun = tokio::time::timeout(timeout, begin).await;
                connection.discard_if_lost(begun.unwrap_or_else(|_| Err(no_answer())))?
            }
        };
        (connection.in_transaction, connection.running) = (true, false);
        Ok(connection)
    }

    /// Marks the connection as opened for this transaction, so that its failures do not count as stale statements.
    pub(super) fn newly_opened(mut self) -> Self {
        self.was_lent = false;
        self
    }

    /// Completes the errors of violated constraints from `catalogue`.
    pub(super) fn with_catalogue(mut self, catalogue: Arc<Catalogue>) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Keeps `in_flight` until the connection is dropped. This guard counts the connections of a replica that are in
    /// use.
    pub(super) fn count(&mut self, in_flight: CountGuard) {
        self.in_flight = Some(in_flight);
    }

    /// Returns the position that the server has reached.
    pub(super) async fn position(&mut self, of_replica: bool) -> Result<Position, DbError> {
        self.running = true;
        let position = self.session()?.position(of_replica).await;
        let position = self.discard_if_lost(position)?;
        self.running = false;
        Ok(position)
    }

    /// Returns the outcome of a transaction.
    pub(super) async fn outcome(&mut self, transaction: &str) -> Result<TransactionStatus, DbError> {
        self.running = true;
        let outcome = self.session()?.outcome(transaction).await;
        let outcome = self.discard_if_lost(outcome)?;
        self.running = false;
        Ok(outcome)
    }

    pub(in crate::database) fn limits(&self) -> Limits {
        self.pool.manager().limits
    }

    pub(in crate::database) fn dialect(&self) -> Dialect {
        self.pool.manager().dialect
    }

    pub(in crate::database) fn access(&self) -> Access {
        self.mode.access
    }

    /// Returns the rules of the gate for this connection.
    pub(in crate::database) fn rules(&self) -> Result<&Rules, DbError> {
        self.pooled
            .as_ref()
            .and_then(|pooled| pooled.session.as_ref())
            .map(ServerSession::rules)
            .ok_or_else(connection_lost)
    }

    /// Returns an error if as many sessions of this component run away as its share of the pool permits.
    pub(in crate::database) fn check_runaways(&self, component: &str) -> Result<(), DbError> {
        self.pool.manager().runaways.check(component)
    }

    /// Returns the text of the last statement. It is empty if the host has sent messages of its own since.
    pub(in crate::database) fn sent(&self) -> &str {
        &self.sent.sql
    }

    pub(in crate::database) fn is_running(&self) -> bool {
        self.running
    }

    /// Runs a statement. Its text stays in `sent` for [`abandoned::end`], also if the caller drops this future.
    pub(in crate::database) async fn run(
        &mut self,
        sent: Sent,
        placeholders: &[Placeholder],
        params: Vec<Value>,
        receiver: &mut Receiver<'_>,
    ) -> Result<(), DbError> {
        (self.running, self.sent) = (true, sent);
        let timeout = self.timeout();
        let session = self.pooled.as_mut().and_then(|pooled| pooled.session.as_mut()).ok_or_else(connection_lost)?;
        let ended = match receiver.flow() {
            None => {
                tokio::time::timeout(timeout, session.run(&self.sent.sql, placeholders, params, receiver)).await.ok()
            }
            Some(flow) => {
                let sql = &self.sent.sql;
                // Boxed, because few statements are streamed, and the future of every statement would contain this one.
                Box::pin(flow.limit(timeout, session.stream(sql, placeholders, params, receiver))).await
            }
        };
        let timed_out = || Err(Failure { error: receiver::timed_out(), is_cut_off: true });
        let Err(Failure { error, is_cut_off }) = ended.unwrap_or_else(timed_out) else {
            self.running = false;
            return Ok(());
        };
        // A statement that was cut off may still run. Then `running` stays set, and `drop` ends the session.
        (self.running, self.failed) = (is_cut_off, true);
        let error = DbError { stale: if self.was_lent { error.stale } else { Stale::No }, ..error };
        if error.kind == Kind::Lost {
            self.close_idle_siblings();
        }
        if error.stale == Stale::Yes {
            self.retire();
        }
        let error = explain(self.catalogue.as_deref(), error, &self.sent.sql).await;
        self.discard_if_lost(Err(error))
    }

    /// Takes a lost connection out of the pool. Its session must not be ended on the server: no statement runs on it
    /// any more, and after a restart the server may have given its id to another session.
    fn discard_if_lost<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        if matches!(&result, Err(error) if error.kind == Kind::Lost) {
            self.pooled.take().map(Object::take);
        }
        result
    }

    /// Returns whether a statement failed because it was prepared before the schema changed. For [`Stale::Perhaps`],
    /// queries the server, which ends the transaction.
    pub(in crate::database) async fn confirm_stale(&mut self, stale: Stale) -> bool {
        match stale {
            Stale::No => false,
            Stale::Yes => true,
            Stale::Perhaps if self.running => false,
            Stale::Perhaps => {
                self.running = true;
                let timeout = self.timeout();
                let Ok(session) = self.session() else { return false };
                let Ok(Ok(is_stale)) = tokio::time::timeout(timeout, session.confirm_stale()).await else {
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

    /// Retires the connection: it is closed when it is dropped. Also closes the pool's idle connections that were
    /// opened before the last known change of the schema.
    fn retire(&mut self) {
        let Some(pooled) = &self.pooled else { return };
        let schema_epoch = &self.pool.manager().schema_epoch;
        schema_epoch.renew_after(pooled.schema_epoch);
        let current = schema_epoch.current();
        drop(self.pool.retain(|pooled, _| pooled.schema_epoch == current));
        self.is_retired = true;
    }

    /// Closes the idle connections of the same pool. The cause of this failure, such as a restart of the server, has
    /// probably broken them too.
    fn close_idle_siblings(&self) {
        drop(self.pool.retain(|_, _| false));
    }

    pub(in crate::database) async fn savepoint(&mut self, level: usize) -> Result<(), DbError> {
        self.run_batch(format!("SAVEPOINT carya_{level}")).await
    }

    pub(in crate::database) async fn release(&mut self, level: usize) -> Result<(), DbError> {
        self.run_batch(format!("RELEASE SAVEPOINT carya_{level}")).await
    }

    pub(in crate::database) async fn rollback_to(&mut self, level: usize, keep: bool) -> Result<(), DbError> {
        let undo = format!("ROLLBACK TO SAVEPOINT carya_{level}");
        self.run_batch(if keep { undo } else { format!("{undo}; RELEASE SAVEPOINT carya_{level}") }).await
    }

    pub(in crate::database) fn transaction_id(&self) -> Option<&str> {
        self.transaction.as_deref()
    }

    /// Commits. If callers wait for a connection and all of them are writers, begins the next transaction in the same
    /// message.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Lost`] if the server neither confirmed nor refused the commit.
    pub(in crate::database) async fn commit(mut self) -> Result<Option<Position>, DbError> {
        self.running = true;
        let Opener { has_replicas, limits, next_writers, .. } = self.pool.manager();
        let (with_position, timeout) = (*has_replicas, limits.commit_timeout);
        let (next, at) = (next_writers.want_next(self.mode, &self.pool), Instant::now());
        let ended = tokio::time::timeout(timeout, self.session()?.commit(with_position, next)).await;
        let committed = match self.discard_if_lost(ended.unwrap_or_else(|_| Err(no_answer()))) {
            Ok(committed) => committed,
            Err(error) => {
                let catalogue = self.catalogue.take();
                drop(self);
                return Err(explain(catalogue.as_deref(), error, "").await);
            }
        };
        if next {
            self.pooled()?.open = OpenTransaction::Begun { name: committed.next, at };
        }
        (self.in_transaction, self.running) = (false, !committed.is_in_order);
        Ok(committed.position)
    }

    /// Gives the connection of a read transaction back to its pool without ending the transaction. Returns `Some(self)`
    /// if no caller waits for a connection, or if the transaction must not stay open.
    pub(in crate::database) fn hand_over(mut self) -> Option<Self> {
        let is_in_order = !self.running && !self.failed;
        let open = OpenTransaction::of_reader(self.mode, &self.pool).filter(|_| is_in_order);
        let Some(open) = open else { return Some(self) };
        let Some(pooled) = self.pooled.as_mut() else { return Some(self) };
        pooled.open = open;
        self.in_transaction = false;
        None
    }

    pub(in crate::database) async fn rollback(mut self) -> Result<(), DbError> {
        if self.running {
            // A statement was cut off and may still run. Dropping the connection ends the statement and the
            // transaction.
            return Ok(());
        }
        self.running = true;
        let (timeout, access) = (self.timeout(), self.mode.access);
        let ended = tokio::time::timeout(timeout, self.session()?.rollback(access)).await;
        self.discard_if_lost(ended.unwrap_or_else(|_| Err(no_answer())))?;
        (self.in_transaction, self.running) = (false, false);
        Ok(())
    }

    async fn run_batch(&mut self, sql: String) -> Result<(), DbError> {
        self.running = true;
        self.sent.sql.clear();
        let timeout = self.timeout();
        let run = tokio::time::timeout(timeout, self.session()?.run_batch(sql)).await;
        let result = self.discard_if_lost(run.unwrap_or_else(|_| Err(no_answer())));
        self.running = false;
        result
    }

    /// Returns the time after which the host stops waiting for the server.
    fn timeout(&self) -> Duration {
        self.limits().statement_timeout + GRACE
    }

    fn pooled(&mut self) -> Result<&mut PooledSession, DbError> {
        self.pooled.as_deref_mut().ok_or_else(connection_lost)
    }

    fn session(&mut self) -> Result<&mut ServerSession, DbError> {
        self.pooled()?.session.as_mut().ok_or_else(connection_lost)
    }
}

/// Completes the error of a violated constraint. Boxed, because the future of every statement contains this future.
async fn explain(catalogue: Option<&Catalogue>, error: DbError, sql: &str) -> DbError {
    match catalogue.filter(|_| error.violation.is_some()) {
        Some(catalogue) => Box::pin(catalogue.complete(error, sql)).await,
        None => error,
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let is_closed = self.in_transaction || self.running || self.is_retired;
        let Some(pooled) = self.pooled.take().filter(|_| is_closed) else { return };
        match Handle::try_current() {
            Ok(runtime) if self.running => drop(runtime.spawn(abandoned::end(pooled, mem::take(&mut self.sent)))),
            // No statement runs: dropping the connection closes it, and the server rolls back. `take` lets the pool
            // open another connection.
            _ => drop(Object::take(pooled)),
        }
    }
}
