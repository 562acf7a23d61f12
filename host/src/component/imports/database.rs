//! `database`: statements, savepoints and actions in the session of the request. Guests receive the session as a
//! handle, which is valid only during the call that received it.

use std::sync::Arc;

use wasmtime::component::Resource;

use crate::{
    component::{
        convert::{row_for_guest, values},
        handles::{Reader, Savepoint, Writer},
        store::StoreData,
        wit::carya::host::database::{self as wit, Host, HostReader, HostSavepoint, HostWriter},
    },
    config::Dialect,
    message,
    sql::{
        Sink, Statement,
        error::{DbError, Kind},
        json::{JsonRows, Layout},
        value::{Execution, Rows},
    },
    transaction::{Action, Delivery, Session, Trace},
};

type Answer<T> = wasmtime::Result<Result<T, wit::DbError>>;

impl Host for StoreData {}

impl HostReader for StoreData {
    async fn query(&mut self, reader: Resource<Reader>, sql: String, params: Vec<wit::Value>) -> Answer<wit::Rows> {
        let call = self.table.get(&reader)?.call;
        self.all_rows(call, sql, params).await
    }

    async fn query_one(
        &mut self,
        reader: Resource<Reader>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<Option<Vec<wit::Value>>> {
        let call = self.table.get(&reader)?.call;
        self.first_row(call, sql, params).await
    }

    async fn query_json(&mut self, reader: Resource<Reader>, sql: String, params: Vec<wit::Value>) -> Answer<String> {
        let call = self.table.get(&reader)?.call;
        self.json(call, sql, params, Layout::Array).await
    }

    async fn query_one_json(
        &mut self,
        reader: Resource<Reader>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<Option<String>> {
        let call = self.table.get(&reader)?.call;
        let row = self.json(call, sql, params, Layout::First).await?;
        Ok(row.map(|row| Some(row).filter(|row| !row.is_empty())))
    }

    async fn run(
        &mut self,
        reader: Resource<Reader>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<wit::StatementResult> {
        let call = self.table.get(&reader)?.call;
        self.complete_result(call, sql, params).await
    }

    fn dialect(&mut self, reader: Resource<Reader>) -> wasmtime::Result<wit::Dialect> {
        self.table.get(&reader)?;
        Ok(self.dialect_of_request())
    }

    fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl HostWriter for StoreData {
    async fn query(&mut self, writer: Resource<Writer>, sql: String, params: Vec<wit::Value>) -> Answer<wit::Rows> {
        let call = self.table.get(&writer)?.call;
        self.all_rows(call, sql, params).await
    }

    async fn query_one(
        &mut self,
        writer: Resource<Writer>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<Option<Vec<wit::Value>>> {
        let call = self.table.get(&writer)?.call;
        self.first_row(call, sql, params).await
    }

    async fn query_json(&mut self, writer: Resource<Writer>, sql: String, params: Vec<wit::Value>) -> Answer<String> {
        let call = self.table.get(&writer)?.call;
        self.json(call, sql, params, Layout::Array).await
    }

    async fn query_one_json(
        &mut self,
        writer: Resource<Writer>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<Option<String>> {
        let call = self.table.get(&writer)?.call;
        let row = self.json(call, sql, params, Layout::First).await?;
        Ok(row.map(|row| Some(row).filter(|row| !row.is_empty())))
    }

    async fn run(
        &mut self,
        writer: Resource<Writer>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<wit::StatementResult> {
        let call = self.table.get(&writer)?.call;
        self.complete_result(call, sql, params).await
    }

    fn dialect(&mut self, writer: Resource<Writer>) -> wasmtime::Result<wit::Dialect> {
        self.table.get(&writer)?;
        Ok(self.dialect_of_request())
    }

    async fn execute(
        &mut self,
        writer: Resource<Writer>,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<wit::Execution> {
        let call = self.table.get(&writer)?.call;
        answer(self.run_statement(call, sql, params, Sink::Nothing).await)
    }

    async fn execute_batch(
        &mut self,
        writer: Resource<Writer>,
        sql: String,
        params: Vec<Vec<wit::Value>>,
    ) -> Answer<u64> {
        let call = self.table.get(&writer)?.call;
        let mut affected = 0;
        for params in params {
            match self.run_statement(call, sql.clone(), params, Sink::Nothing).await {
                Ok(done) => affected += done.rows_affected,
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(affected))
    }

    async fn savepoint(&mut self, writer: Resource<Writer>) -> Answer<Resource<Savepoint>> {
        let call = self.table.get(&writer)?.call;
        let opened = match self.session(call) {
            Ok((session, trace)) => session.savepoint(trace, None).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(id) => Ok(Ok(self.table.push(Savepoint { call, id })?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn mark_rollback(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        let call = self.table.get(&writer)?.call;
        if let Ok((session, _)) = self.session(call) {
            session.mark_rollback();
        }
        Ok(())
    }

    fn after_commit(
        &mut self,
        writer: Resource<Writer>,
        name: String,
        payload: String,
        delivery: wit::Delivery,
    ) -> Answer<()> {
        let call = self.table.get(&writer)?.call;
        answer(self.register(call, name, payload, true, delivery.into()))
    }

    fn after_rollback(&mut self, writer: Resource<Writer>, name: String, payload: String) -> Answer<()> {
        let call = self.table.get(&writer)?.call;
        answer(self.register(call, name, payload, false, Delivery::AtMostOnce))
    }

    fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

impl HostSavepoint for StoreData {
    async fn release(&mut self, savepoint: Resource<Savepoint>) -> Answer<()> {
        let &Savepoint { call, id } = self.table.get(&savepoint)?;
        answer(match self.session(call) {
            Ok((session, _)) => session.release_explicitly(id).await,
            Err(error) => Err(error),
        })
    }

    async fn rollback(&mut self, savepoint: Resource<Savepoint>) -> Answer<()> {
        self.roll_back_to(savepoint, false).await
    }

    async fn rollback_to(&mut self, savepoint: Resource<Savepoint>) -> Answer<()> {
        self.roll_back_to(savepoint, true).await
    }

    async fn drop(&mut self, savepoint: Resource<Savepoint>) -> wasmtime::Result<()> {
        let Savepoint { call, id } = self.table.delete(savepoint)?;
        // A failed release dooms the transaction, so the host rolls it back. The drop of a resource cannot return an
        // error to the guest.
        if let Ok((session, _)) = self.session(call)
            && let Err(error) = session.release(id).await
        {
            let (component, request) = (&*self.properties.name, &*self.lent.request.id);
            tracing::warn!(component, request, %error, "a savepoint could not be released");
        }
        Ok(())
    }
}

impl StoreData {
    /// Returns the session and the trace of the request. `call` is the number of the call that received the handle.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Lost`] if the call with the number `call` has ended, or if the request has no database.
    fn session(&mut self, call: u64) -> Result<(&mut Session, &mut Trace), DbError> {
        if call != self.call {
            return Err(DbError::new(Kind::Lost, "the handle is no longer valid: the call that received it has ended"));
        }
        let session =
            self.lent.bound.session().ok_or_else(|| DbError::new(Kind::Lost, "this request has no database"))?;
        Ok((session, &mut self.lent.trace))
    }

    async fn roll_back_to(&mut self, savepoint: Resource<Savepoint>, keep: bool) -> Answer<()> {
        let &Savepoint { call, id } = self.table.get(&savepoint)?;
        answer(match self.session(call) {
            Ok((session, _)) => session.rollback_to(id, keep).await,
            Err(error) => Err(error),
        })
    }

    /// Returns the dialect of the request's database. Without a database every statement fails, in whichever dialect it
    /// is written.
    fn dialect_of_request(&mut self) -> wit::Dialect {
        let dialect = self.lent.bound.session().and_then(|session| session.dialect());
        dialect.unwrap_or(Dialect::Sqlite).into()
    }

    async fn all_rows(&mut self, call: u64, sql: String, params: Vec<wit::Value>) -> Answer<wit::Rows> {
        let mut rows = Rows::default();
        let run = self.run_statement(call, sql, params, Sink::Rows(&mut rows)).await;
        answer(run.map(|_| rows))
    }

    async fn first_row(&mut self, call: u64, sql: String, params: Vec<wit::Value>) -> Answer<Option<Vec<wit::Value>>> {
        let mut row = None;
        let run = self.run_statement(call, sql, params, Sink::First(&mut row)).await;
        answer(run.map(|_| row.map(row_for_guest)))
    }

    async fn json(&mut self, call: u64, sql: String, params: Vec<wit::Value>, layout: Layout) -> Answer<String> {
        let mut json = JsonRows::new(layout);
        let run = self.run_statement(call, sql, params, Sink::Json(&mut json)).await;
        answer(run.map(|_| json.finish()))
    }

    async fn complete_result(
        &mut self,
        call: u64,
        sql: String,
        params: Vec<wit::Value>,
    ) -> Answer<wit::StatementResult> {
        let mut rows = Rows::default();
        let run = self.run_statement(call, sql, params, Sink::Rows(&mut rows)).await;
        answer(run.map(|execution| (rows, execution)))
    }

    fn statement(&self, sql: String, params: Vec<wit::Value>) -> Statement {
        let (component, request) = (self.properties.name.clone(), self.lent.request.id.clone());
        Statement { component, request, sql, params: values(params) }
    }

    /// Runs a statement in the session of the request. `call` is the number of the call that received the handle.
    async fn run_statement(
        &mut self,
        call: u64,
        sql: String,
        params: Vec<wit::Value>,
        sink: Sink<'_>,
    ) -> Result<Execution, DbError> {
        let statement = self.statement(sql, params);
        let (session, trace) = self.session(call)?;
        session.run(trace, statement, sink).await
    }

    fn register(
        &mut self,
        call: u64,
        name: String,
        payload: String,
        on_commit: bool,
        delivery: Delivery,
    ) -> Result<(), DbError> {
        let (component, runs_actions) = (self.properties.name.clone(), self.properties.runs_actions);
        let request = self.lent.request.id.clone();
        let (session, _) = self.session(call)?;
        if !runs_actions {
            let message =
                format!("component `{component}` registers the action `{name}` but does not export `actions`");
            return Err(DbError::new(Kind::Forbidden, message));
        }
        let (id, name) = (message::new_id(), Arc::from(name));
        session.register(Action { component, name, payload, on_commit, delivery, id, request, depth: 0 })
    }
}

fn answer<T, U: From<T>>(result: Result<T, DbError>) -> Answer<U> {
    Ok(result.map(U::from).map_err(wit::DbError::from))
}
