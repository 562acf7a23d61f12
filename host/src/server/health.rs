//! `/livez` and `/readyz`: whether the process runs, and whether it can serve requests. Orchestrators and load balancers
//! read the status, people read the reasons in the body.

use std::{
    future::ready,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::{Method, StatusCode, header};
use serde::Serialize;
use tokio::{
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::live::Live;
use crate::{
    config::{Access, HEALTH},
    database::{Database, TransactionOptions},
    sql::error::{DbError, Kind},
    telemetry::metrics,
};

const LIVE_PATH: &str = HEALTH[0];
const READY_PATH: &str = HEALTH[1];
/// Maximum time to wait for the databases. Orchestrators wait for 1 s by default, so a longer limit would hide the
/// reason from them.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);
/// Maximum time to wait for a connection of the pool.
const POOL_TIMEOUT: Duration = Duration::from_millis(200);
/// Time for which the results of a probe are valid, so that many clients cause one statement.
const VALIDITY: Duration = Duration::from_secs(1);

/// State of the process, as far as `/readyz` reports it.
#[derive(Default)]
pub(crate) struct Health {
    live: OnceLock<Arc<Live>>,
    is_draining: AtomicBool,
    last: Mutex<Option<Probe>>,
}

/// Statements that were sent to the databases of a generation at the same time.
#[derive(Clone)]
struct Probe {
    begun: Instant,
    generation: String,
    databases: Arc<[Statement]>,
}

/// The statement that was sent to one database.
#[derive(Clone)]
struct Statement {
    database: String,
    task: AbortHandle,
    answer: Answer,
}

/// Reason why a database does not answer, or `None` if it does.
type Answer = Shared<BoxFuture<'static, Option<Arc<str>>>>;

/// Body of a response.
#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    reasons: Vec<Reason>,
}

/// A condition that is not fulfilled.
#[derive(Debug, Serialize)]
struct Reason {
    check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Health {
    /// Records that requests are served.
    pub(super) fn serve(&self, live: Arc<Live>) {
        let _ = self.live.set(live);
    }

    /// Returns how many requests run and wait.
    pub(super) fn load(&self) -> metrics::Load {
        self.live.get().map(|live| live.load()).unwrap_or_default()
    }

    /// Records that a shutdown was requested.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Returns the routes of both paths, with all details.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(LIVE_PATH, get(async || live()))
            .route(READY_PATH, get(move || async move { self.ready(true).await }))
    }

    /// Answers a request to one of the paths on the listener of the application. Returns `None` for any other path.
    pub(super) fn answer(self: &Arc<Self>, method: &Method, path: &str) -> Option<BoxFuture<'static, Response>> {
        if path != LIVE_PATH && path != READY_PATH {
            return None;
        }
        Some(match *method {
            Method::GET | Method::HEAD if path == LIVE_PATH => ready(live()).boxed(),
            Method::GET | Method::HEAD => {
                let health = self.clone();
                async move { health.ready(false).await }.boxed()
            }
            _ => ready((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response()).boxed(),
        })
    }

    /// Answers 200 if a generation is served, its databases answer, and no shutdown was requested, otherwise 503. Errors
    /// of databases may name hosts and logins, so only trusted clients may get the details.
    async fn ready(&self, has_details: bool) -> Response {
        let mut reasons = Vec::new();
        let mut add = |check: String, detail: &str| {
            reasons.push(Reason { check, detail: has_details.then(|| detail.to_owned()) });
        };
        if self.is_draining.load(Relaxed) {
            add("shutdown".to_owned(), "the host is shutting down");
        }
        let probe = self.live.get().map(|live| self.probe(live));
        match &probe {
            None => add("generation".to_owned(), "no generation is served yet"),
            Some(probe) => {
                let deadline = Instant::now() + PROBE_TIMEOUT;
                for Statement { database, answer, .. } in probe.databases.iter() {
                    let late = || Some(format!("no answer within {} ms", PROBE_TIMEOUT.as_millis()).into());
                    let reason = timeout_at(deadline, answer.clone()).await.unwrap_or_else(|_| late());
                    if let Some(reason) = reason {
                        add(format!("database {database}"), &reason);
                    }
                }
            }
        }
        let is_ready = reasons.is_empty();
        let generation = probe.map(|probe| probe.generation).filter(|_| has_details);
        respond(is_ready, &Report { status: if is_ready { "ready" } else { "not ready" }, generation, reasons })
    }

    /// Returns the last probe if it is still valid or runs, otherwise begins another one. A database that does not answer
    /// thus has one statement of the host at a time.
    fn probe(&self, live: &Live) -> Probe {
        let generation = live.generation();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_usable = |probe: &&Probe| {
            let is_running = probe.databases.iter().any(|statement| !statement.task.is_finished());
            probe.generation == generation.id && (is_running || probe.begun.elapsed() < VALIDITY)
        };
        if let Some(probe) = last.as_ref().filter(is_usable) {
            return probe.clone();
        }
        let begin = |(name, database): (&str, &Arc<Database>)| {
            let database = database.clone();
            // A task: the statement ends within its own time limit even if no client waits for it.
            let task = tokio::spawn(async move { query(&database).await.err().map(|error| error.to_string()) });
            let handle = task.abort_handle();
            let answer = task.map(|ended| ended.unwrap_or_else(|panic| Some(panic.to_string())).map(Arc::from));
            Statement { database: name.to_owned(), task: handle, answer: answer.boxed().shared() }
        };
        let databases = generation.all_databases().map(begin).collect();
        last.insert(Probe { begun: Instant::now(), generation: generation.id.clone(), databases }).clone()
    }
}

/// Runs a query as requests do, on a connection of the pool. If no connection is free, opens another one: a busy pool
/// does not mean that the database is down.
async fn query(database: &Database) -> Result<(), DbError> {
    let options = TransactionOptions { primary: true, ..TransactionOptions::new(Access::ReadOnly) };
    match timeout(POOL_TIMEOUT, database.begin(&options)).await {
        Ok(Ok(mut connection)) => {
            connection.query_as_host("SELECT 1".to_owned(), Vec::new()).await?;
            connection.rollback().await
        }
        Err(_) | Ok(Err(DbError { kind: Kind::Busy, .. })) => match database.connect_as_owner().await {
            // The server has answered that it accepts no further connection.
            Ok(_) | Err(DbError { kind: Kind::Busy, .. }) => Ok(()),
            Err(error) => Err(error),
        },
        Ok(Err(error)) => Err(error),
    }
}

fn live() -> Response {
    respond(true, &Report { status: "live", generation: None, reasons: Vec::new() })
}

fn respond(is_good: bool, report: &Report) -> Response {
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    match serde_json::to_string(report) {
        Ok(body) => (status, headers, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
