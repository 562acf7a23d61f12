//! Controller that executes a script from the request, so that tests can reach every part of the contract.
//!
//! The script is a JSON array of steps (`script.rs`), in the query parameter `script` or else in the body. The response
//! is the JSON array of the steps' results, unless a step sets another response. A response without a redirect or 5xx
//! status also has the header `x-inside: 1`: the controller's code ran to its end.

mod json;
mod script;

use std::io::{self, Write};
use std::time::Duration;
use std::{mem, thread};

use carya::host::database::{DbError, Dialect, Handle, Reader, Writer};
use carya::host::log::{self, Level};
use carya::host::types::{Body, Response};
use carya::host::{config, context, identity, request};
use exports::carya::host::{actions, plain_controller, read_controller, write_controller};
use script::{Answer, End, Op, Payload, Step};
use serde_json::{Map, Value as Json, json};

wit_bindgen::generate!({
    inline: "
        package test:probe;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/read-controller@0.2.0;
            export carya:host/write-controller@0.2.0;
            export carya:host/plain-controller@0.2.0;
            export carya:host/actions@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
    generate_unused_types: true,
    // Scripts and results consist of the contract's own types: see json.rs.
    additional_type_attributes: {
        "carya:host/database@0.2.0/value": [
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(tag = "t", content = "v", rename_all = "lowercase")]
        ],
        "carya:host/database@0.2.0/other-value": [#[derive(serde::Serialize, serde::Deserialize)]],
        "carya:host/database@0.2.0/column": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/rows": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/execution": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/statement-result": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/dialect": [#[derive(serde::Serialize)] #[serde(rename_all = "lowercase")]],
        "carya:host/database@0.2.0/violation": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/violation-kind": [#[derive(serde::Serialize)] #[serde(rename_all = "kebab-case")]],
        "carya:host/database@0.2.0/db-error": [#[derive(serde::Serialize)]],
        "carya:host/database@0.2.0/db-error-kind": [
            #[derive(serde::Serialize)]
            #[serde(rename_all = "kebab-case")]
        ],
        "carya:host/types@0.2.0/body": [#[derive(serde::Deserialize)] #[serde(rename_all = "lowercase")]],
        "carya:host/types@0.2.0/template": [#[derive(serde::Deserialize)]],
        "carya:host/types@0.2.0/rows-query": [#[derive(serde::Deserialize)]],
        "carya:host/types@0.2.0/rows-format": [#[derive(serde::Deserialize)] #[serde(rename_all = "lowercase")]],
        "carya:host/request@0.2.0/form-error": [#[derive(serde::Serialize)] #[serde(rename_all = "kebab-case")]],
        "carya:host/request@0.2.0/form-field": [#[derive(serde::Serialize)]],
    },
    additional_member_attributes: {
        "carya:host/database@0.2.0/value.int64": [#[serde(with = "crate::json::text")]],
        "carya:host/database@0.2.0/value.float64": [#[serde(with = "crate::json::text")]],
        "carya:host/database@0.2.0/value.bytes": [#[serde(with = "crate::json::hex")]],
        "carya:host/types@0.2.0/body.bytes": [#[serde(with = "crate::json::hex")]],
        "carya:host/types@0.2.0/body.json": [#[serde(deserialize_with = "crate::json::any")]],
        "carya:host/types@0.2.0/template.context": [#[serde(deserialize_with = "crate::json::any")]],
        "carya:host/request@0.2.0/form-field.value": [#[serde(with = "crate::json::hex")]],
        "carya:host/types@0.2.0/rows-query.format": [#[serde(default = "crate::json::rows_format")]],
        "carya:host/types@0.2.0/rows-query.params": [#[serde(default, deserialize_with = "crate::json::params")]],
    },
});

struct Probe;
export!(Probe);

impl read_controller::Guest for Probe {
    fn read(db: Reader) -> Result<Response, String> {
        serve(&Handle::Reader(db))
    }
}

impl write_controller::Guest for Probe {
    fn write(db: Writer) -> Result<Response, String> {
        serve(&Handle::Writer(db))
    }
}

impl plain_controller::Guest for Probe {
    fn plain() -> Result<Response, String> {
        serve(&Handle::None)
    }
}

impl actions::Guest for Probe {
    /// Runs an action. If the payload is a JSON object, its member `script` is a script that runs first.
    fn run(action: actions::Action, db: Writer) -> Result<(), String> {
        if let Ok(Payload { script }) = serde_json::from_str(&action.payload) {
            let results = run(&Handle::Writer(db), script, &mut Answer::default())?;
            let (id, request, attempt) = (&action.id, &action.request_id, action.attempt);
            let ran = json!({ "id": id, "request": request, "attempt": attempt, "results": results });
            log::write(Level::Info, &format!("action {} {ran}", action.name));
        }
        match action.name.as_str() {
            "fail" => return Err("the action fails".into()),
            "fail-once" if action.attempt == 1 => return Err("the action fails once".into()),
            "panic" => panic!("the action panics"),
            "sleep" => thread::sleep(Duration::from_millis(action.payload.parse().unwrap_or(60_000))),
            _ => {}
        }
        log::write(Level::Info, &format!("action {} {}", action.name, action.payload));
        Ok(())
    }
}

fn serve(db: &Handle) -> Result<Response, String> {
    let script = request::query("script").map_or_else(request::body_text, Ok)?;
    let steps: Vec<Step> = match script.as_str() {
        "" => vec![],
        script => serde_json::from_str(script).map_err(|error| format!("the script: {error}"))?,
    };
    let mut answer = Answer::default();
    let results = run(db, steps, &mut answer)?;

    let Answer { status, mut headers, body } = answer;
    if !matches!(status, 300..400 | 500..) {
        headers.push(("x-inside".into(), "1".into()));
    }
    Ok(Response { status, headers, body: body.unwrap_or_else(|| Body::Json(Json::from(results).to_string())) })
}

/// The error that ends a script.
enum Stop {
    Database(DbError),
    Other(String),
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

impl From<Stop> for String {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Database(error) => format!("{:?}: {}", error.kind, error.message),
            Stop::Other(message) => message,
        }
    }
}

fn run(db: &Handle, steps: Vec<Step>, answer: &mut Answer) -> Result<Vec<Json>, Stop> {
    let mut results = Vec::with_capacity(steps.len());
    for mut step in steps {
        if let Step::Sql { params, .. } = &mut step {
            json::fill(params, &results);
        }
        let swallow = step.swallows();
        results.push(match take(db, step, answer) {
            Err(Stop::Database(error)) if swallow => json!({ "error": error }),
            result => result?,
        });
    }
    Ok(results)
}

fn take(db: &Handle, step: Step, answer: &mut Answer) -> Result<Json, Stop> {
    let mut result = Json::Null;
    match step {
        Step::Sql { sql, op, params, .. } => result = statement(db, &sql, op, &params)?,
        Step::Savepoint { savepoint: steps, end, .. } => {
            let savepoint = writer(db)?.savepoint()?;
            result = json!({ "savepoint": run(db, steps, answer)? });
            match end {
                End::Drop => drop(savepoint),
                End::Release => savepoint.release()?,
                End::Rollback => savepoint.rollback()?,
                End::RollbackTo => savepoint.rollback_to()?,
                End::Leak => mem::forget(savepoint),
            }
        }
        Step::MarkRollback { .. } => writer(db)?.mark_rollback(),
        Step::AfterCommit { after_commit: name, payload, delivery, .. } => {
            writer(db)?.after_commit(&name, &payload, delivery.into())?;
        }
        Step::AfterRollback { after_rollback: name, payload, .. } => writer(db)?.after_rollback(&name, &payload)?,
        Step::Answer { answer: wanted } => *answer = wanted,
        Step::Fail { fail } => return Err(Stop::Other(fail)),
        Step::Panic { .. } => panic!("as the script says"),
        Step::Sleep { sleep_ms } => thread::sleep(Duration::from_millis(sleep_ms)),
        Step::Log { log, times } => (0..times).for_each(|_| log::write(Level::Info, &log)),
        Step::Print { print, times } => {
            (0..times).for_each(|_| print!("{print}"));
            io::stdout().flush().map_err(|error| error.to_string())?;
        }
        Step::Eprint { eprint, times } => (0..times).for_each(|_| eprint!("{eprint}")),
        Step::ContextSet { context_set: pairs } => {
            for (key, value) in pairs {
                context::set(&key, &value)?;
            }
        }
        Step::Echo { params, query, header, config, context, query_all, cookie, claim, .. } => {
            result = json!({
                "method": request::method(),
                "path": request::path(),
                "query_string": request::query_string(),
                "headers": request::headers(),
                "body_len": request::body().len(),
                "id": request::id(),
                "route": request::route(),
                "all_params": request::params(),
                "scheme": request::scheme(),
                "authority": request::authority(),
                "client_address": request::client_address(),
                "form": request::form(),
                "subject": identity::subject(),
                "claims": identity::claims(),
                "dialect": dialect(db),
                "query_all": query_all.iter().map(|name| request::query_all(name)).collect::<Vec<_>>(),
                "cookie": found(cookie, request::cookie),
                "claim": found(claim, identity::claim),
                "params": found(params, request::param),
                "query": found(query, request::query),
                "header": found(header, request::header),
                "config": found(config, config::get),
                "context": found(context, context::get),
            });
        }
    }
    Ok(result)
}

fn statement(db: &Handle, sql: &str, op: Op, params: &Json) -> Result<Json, Stop> {
    let wrong = |error: serde_json::Error| format!("params: {error}");
    if let Op::Batch = op {
        let params = json::batch(params).map_err(wrong)?;
        return Ok(json!({ "rows_affected": writer(db)?.execute_batch(sql, &params)? }));
    }
    let params = json::params(params).map_err(wrong)?;
    Ok(match (op, db) {
        (Op::Execute, _) => json!(writer(db)?.execute(sql, &params)?),
        (Op::Query, Handle::Reader(db)) => json!(db.query(sql, &params)?),
        (Op::Query, Handle::Writer(db)) => json!(db.query(sql, &params)?),
        (Op::QueryOne, Handle::Reader(db)) => json!({ "row": db.query_one(sql, &params)? }),
        (Op::QueryOne, Handle::Writer(db)) => json!({ "row": db.query_one(sql, &params)? }),
        (Op::QueryJson, Handle::Reader(db)) => json!({ "json": db.query_json(sql, &params)? }),
        (Op::QueryJson, Handle::Writer(db)) => json!({ "json": db.query_json(sql, &params)? }),
        (Op::QueryOneJson, Handle::Reader(db)) => json!({ "json": db.query_one_json(sql, &params)? }),
        (Op::QueryOneJson, Handle::Writer(db)) => json!({ "json": db.query_one_json(sql, &params)? }),
        (Op::Run, Handle::Reader(db)) => json!(db.run(sql, &params)?),
        (Op::Run, Handle::Writer(db)) => json!(db.run(sql, &params)?),
        _ => return Err(Stop::Other("this request has no handle".into())),
    })
}

fn dialect(db: &Handle) -> Option<Dialect> {
    match db {
        Handle::None => None,
        Handle::Reader(db) => Some(db.dialect()),
        Handle::Writer(db) => Some(db.dialect()),
    }
}

fn writer(db: &Handle) -> Result<&Writer, Stop> {
    match db {
        Handle::Writer(db) => Ok(db),
        _ => Err(Stop::Other("this request has no writer".into())),
    }
}

/// Looks up each of the names.
fn found(names: Vec<String>, get: impl Fn(&str) -> Option<String>) -> Json {
    let pair = |name: String| (name.clone(), get(&name).into());
    names.into_iter().map(pair).collect::<Map<_, _>>().into()
}
