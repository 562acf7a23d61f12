//! The control of `carya test`: an HTTP API by which tests add lanes, and reset and query the databases of their lane. Its
//! URL contains a random token, so that no other user of the machine and no page in a browser can use it.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Path, Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
    routing::{any, get, post, put},
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::{answers::Captured, lanes::Lanes};
use crate::{
    app::format_error,
    config::Access,
    database::{Fault, ReplicaState},
    server::{
        MAX_SIDE_CONNECTIONS,
        connections::{Connections, Listener, permits, routed},
    },
    sql::{
        json::{JsonRows, Layout},
        value::Value,
    },
    transaction::Recorded,
};

/// Maximum number of faults of one request to the control.
const MAX_FAULTS: usize = 1000;
/// Maximum size of the body of an outbound request, in bytes.
const MAX_BODY: usize = 16 << 20;

/// The API, bound to its address.
pub(crate) struct Control {
    listener: Listener<TcpListener>,
    token: String,
    url: String,
}

impl Control {
    /// Binds a free port of the loopback interface.
    pub(crate) async fn bind(connections: Arc<Connections>) -> anyhow::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let token = format!("{:032x}", rand::random::<u128>());
        let url = format!("http://{}/{token}", socket.local_addr()?);
        Ok(Self { listener: Listener::new(socket, "control", permits(MAX_SIDE_CONNECTIONS), connections), token, url })
    }

    /// Returns the URL with the token, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves requests for as long as this future is polled.
    pub(crate) async fn serve(self, lanes: Arc<Lanes>) {
        let api = Router::new()
            .route("/lanes", get(list).post(add))
            .route("/lanes/{lane}/reset", post(reset))
            .route("/lanes/{lane}/sql", post(run_sql))
            .route("/lanes/{lane}/commits", post(add_fault))
            .route("/lanes/{lane}/replicas", put(set_replicas))
            .route("/lanes/{lane}/clock", post(advance_clock))
            .route("/lanes/{lane}/http", put(answer_outbound).get(list_outbound))
            .route("/upstream/{lane}/{*url}", any(upstream))
            .route("/traces/{id}", get(trace))
            .route("/traces/{id}/text", get(trace_text))
            .with_state(lanes);
        let answer = routed(Router::new().nest(&format!("/{}", self.token), api));
        loop {
            let (stream, accepted) = self.listener.accept().await;
            tokio::spawn(accepted.serve(stream, None, answer.clone()));
        }
    }
}

/// An error of a request, as text.
struct Refusal(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{}\n", format_error(&self.0))).into_response()
    }
}

type Answer = Result<Response, Refusal>;

async fn list(State(lanes): State<Arc<Lanes>>) -> Response {
    let lanes: Vec<_> = lanes.urls().iter().enumerate().map(|(lane, url)| json!({"lane": lane, "url": url})).collect();
    json_response(json!(lanes).to_string())
}

async fn add(State(lanes): State<Arc<Lanes>>) -> Answer {
    let (lane, url) = lanes.add().await?;
    Ok(json_response(json!({"lane": lane, "url": url}).to_string()))
}

async fn reset(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>) -> Answer {
    lanes.reset(lane).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A statement of a test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    sql: String,
    #[serde(default)]
    params: Vec<serde_json::Value>,
    /// `None`: the default database.
    database: Option<String>,
}

/// First words of statements that change the schema. On MySQL they end the transaction.
const DDL: [&str; 5] = ["ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE"];

/// Runs a statement in a transaction of its own, as the owner of the database. Responds with its rows as a JSON array.
async fn run_sql(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>, body: Bytes) -> Answer {
    let expected = r#"the body must be JSON such as {"sql": "SELECT * FROM notes WHERE id = ?", "params": [1]}"#;
    let Sent { sql, params, database } = serde_json::from_slice(&body).context(expected)?;
    let params = params.into_iter().enumerate().map(|(index, value)| param(index, value));
    let params = params.collect::<anyhow::Result<Vec<_>>>()?;
    let database = lanes.database(lane, database.as_deref())?;
    let first = sql.split_whitespace().next().unwrap_or_default();
    if params.is_empty() && DDL.iter().any(|word| word.eq_ignore_ascii_case(first)) {
        database.run_ddl(sql).await?;
        database.renew_connections();
        return Ok(json_response("[]".to_owned()));
    }
    let mut connection = database.begin_as_host(Access::ReadWrite).await?;
    let mut rows = JsonRows::new(Layout::Array);
    match connection.query_json_as_host(sql, params, &mut rows).await {
        Ok(()) => connection.commit().await?,
        Err(error) => {
            connection.rollback().await?;
            return Err(error.into());
        }
    };
    Ok(json_response(rows.finish()))
}

fn param(index: usize, value: serde_json::Value) -> anyhow::Result<Value> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Int64(value),
            (None, Some(value)) => Value::Float64(value),
            (None, None) => bail!("parameter {}: {number} is too large; send it as text", index + 1),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            bail!("parameter {} must be null, a boolean, a number or text", index + 1)
        }
    })
}

/// A fault of the next commits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NextCommits {
    fault: Fault,
    #[serde(default = "once")]
    times: usize,
    /// `None`: the default database.
    database: Option<String>,
}

fn once() -> usize {
    1
}

async fn add_fault(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>, body: Bytes) -> Answer {
    let expected = r#"the body must be JSON such as {"fault": "conflict", "times": 1}; the faults are conflict, failure, lost-after-commit and lost-before-commit"#;
    let NextCommits { fault, times, database } = serde_json::from_slice(&body).context(expected)?;
    if times > MAX_FAULTS {
        return Err(anyhow!("`times` must not be greater than {MAX_FAULTS}").into());
    }
    lanes.database(lane, database.as_deref())?.faults().add(fault, times);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A state of replicas.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    state: ReplicaState,
    /// `None`: the default database.
    database: Option<String>,
}

async fn set_replicas(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>, body: Bytes) -> Answer {
    let expected = r#"the body must be JSON such as {"state": "lagging"}; the states are current, lagging and gone"#;
    let Replicas { state, database } = serde_json::from_slice(&body).context(expected)?;
    lanes.set_replicas(lane, database.as_deref(), state).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A change of the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    advance_seconds: u32,
}

/// Sets the clock of the outboxes of a lane forward.
async fn advance_clock(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>, body: Bytes) -> Answer {
    let expected = r#"the body must be JSON such as {"advance_seconds": 3600}"#;
    let Clock { advance_seconds } = serde_json::from_slice(&body).context(expected)?;
    lanes.advance_clock(lane, Duration::from_secs(advance_seconds.into()))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn answer_outbound(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>, body: Bytes) -> Answer {
    let expected = r#"the body must be JSON such as [{"url": "https://api.example.com/rates", "body": {"EUR": 1.1}}]"#;
    lanes.answer_outbound(lane, serde_json::from_slice(&body).context(expected)?)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_outbound(State(lanes): State<Arc<Lanes>>, Path(lane): Path<usize>) -> Answer {
    Ok(json_response(json!(lanes.answers(lane)?.requests()).to_string()))
}

/// Answers a redirected request of a guest. See `outbound::Redirect` for its URL.
async fn upstream(State(lanes): State<Arc<Lanes>>, Path((lane, _)): Path<(usize, String)>, request: Request) -> Answer {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    // The path without the token: `/upstream/0/https/api.example.com/rates`.
    let mut segments = path.splitn(5, '/').skip(3);
    let url = format!("{}://{}", segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.context("the body of the request could not be read")?;
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let answers = lanes.answers(lane)?;
    let response = answers.answer(Captured {
        method: head.method.to_string(),
        url,
        // The client has set the host to that of this server.
        headers: head.headers.iter().filter(|(name, _)| **name != HOST).map(header).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        answered: false,
    });
    tokio::time::sleep(response.delay).await;
    let mut answer = (response.status, response.body).into_response();
    answer.headers_mut().remove(CONTENT_TYPE);
    answer.headers_mut().extend(response.headers);
    Ok(answer)
}

async fn trace(State(lanes): State<Arc<Lanes>>, Path(id): Path<String>) -> Answer {
    Ok(json_response(serde_json::to_string(&recorded(&lanes, &id)?)?))
}

async fn trace_text(State(lanes): State<Arc<Lanes>>, Path(id): Path<String>) -> Answer {
    Ok(recorded(&lanes, &id)?.to_string().into_response())
}

fn recorded(lanes: &Lanes, id: &str) -> anyhow::Result<Recorded> {
    lanes.recorder().get(id).with_context(|| {
        format!("there is no trace of a request {id:?}; the id is that of the header `x-request-id` of its response")
    })
}

fn json_response(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
