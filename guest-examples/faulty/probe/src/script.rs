//! The steps of a script. The required member of a step determines its kind; all other members are optional.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::carya::host::database;
use crate::carya::host::types::{Body, Header};

/// Payload of an action that runs a script.
#[derive(Deserialize)]
pub(crate) struct Payload {
    pub(crate) script: Vec<Step>,
}

/// A step and its result. With `swallow`, a database error becomes the result, as `{"error":{..}}`, and the script
/// continues; otherwise the controller returns the error. The result of a step without a value is `null`.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Step {
    /// Results: `{"columns":[..],"rows":[[..]]}` for `query`, `{"row":[..]}` for `query_one`, `{"json":"TEXT"}` for
    /// `query_json` and `query_one_json`, all members of `query` and `execute` for `run`,
    /// `{"rows_affected":1,"last_insert_id":1}` for `execute`, and `{"rows_affected":1}` for `batch`,
    /// where `params` is a list of lists.
    Sql {
        sql: String,
        #[serde(default)]
        op: Op,
        #[serde(default = "none")]
        params: Json,
        #[serde(default)]
        swallow: bool,
    },
    /// Result: `{"savepoint":[RESULTS]}`.
    Savepoint {
        savepoint: Vec<Step>,
        #[serde(default)]
        end: End,
        #[serde(default)]
        swallow: bool,
    },
    MarkRollback {
        #[serde(rename = "mark_rollback")]
        _true: bool,
    },
    AfterCommit {
        after_commit: String,
        #[serde(default)]
        payload: String,
        #[serde(default)]
        delivery: Delivery,
        #[serde(default)]
        swallow: bool,
    },
    AfterRollback {
        after_rollback: String,
        #[serde(default)]
        payload: String,
        #[serde(default)]
        swallow: bool,
    },
    /// Sets the response, which replaces the results. The script continues.
    Answer {
        answer: Answer,
    },
    Fail {
        fail: String,
    },
    Panic {
        #[serde(rename = "panic")]
        _true: bool,
    },
    Sleep {
        sleep_ms: u64,
    },
    /// Writes a message to the host's log, at level `info`.
    Log {
        log: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Prints a text to standard output. The text contains its line feeds.
    Print {
        print: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// Prints a text to standard error.
    Eprint {
        eprint: String,
        #[serde(default = "once")]
        times: u32,
    },
    ContextSet {
        context_set: BTreeMap<String, String>,
    },
    /// Result: the request, and the values of the listed names.
    Echo {
        #[serde(rename = "echo")]
        _true: bool,
        #[serde(default)]
        params: Vec<String>,
        #[serde(default)]
        query: Vec<String>,
        #[serde(default)]
        header: Vec<String>,
        #[serde(default)]
        config: Vec<String>,
        #[serde(default)]
        context: Vec<String>,
        #[serde(default)]
        query_all: Vec<String>,
        #[serde(default)]
        cookie: Vec<String>,
        #[serde(default)]
        claim: Vec<String>,
    },
}

impl Step {
    pub(crate) fn swallows(&self) -> bool {
        use Step::{AfterCommit, AfterRollback, Savepoint, Sql};
        matches!(
            self,
            Sql { swallow: true, .. }
                | Savepoint { swallow: true, .. }
                | AfterCommit { swallow: true, .. }
                | AfterRollback { swallow: true, .. }
        )
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    #[default]
    Query,
    QueryOne,
    QueryJson,
    QueryOneJson,
    Run,
    Execute,
    Batch,
}

/// How a savepoint ends. `leak` leaves it open, and `rollback_to` drops it after a rollback.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    #[default]
    Drop,
    Release,
    Rollback,
    RollbackTo,
    Leak,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Delivery {
    #[default]
    AtMostOnce,
    AtLeastOnce,
}

impl From<Delivery> for database::Delivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::AtMostOnce => Self::AtMostOnce,
            Delivery::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}

/// `{"status":200,"headers":[["name","value"]]}` and one of the bodies `"bytes":"00ff"`, `"text":".."`, `"json":JSON`,
/// `"template":{"name":"..","context":JSON}`, `"rows":{"sql":"..","params":[..],"format":"csv"}`. Without a body the response contains
/// the results.
#[derive(Deserialize)]
pub(crate) struct Answer {
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: Vec<Header>,
    #[serde(flatten)]
    pub(crate) body: Option<Body>,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: ok(), headers: vec![], body: None }
    }
}

fn ok() -> u16 {
    200
}

fn once() -> u32 {
    1
}

fn none() -> Json {
    Json::Array(vec![])
}
