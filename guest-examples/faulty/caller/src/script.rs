//! Scripts of steps: `sql STATEMENT`, `action NAME PAYLOAD` (at least once), `err WORDS`, `trap`, or a request, see
//! `http.rs`. `:n` in a payload stands for the separator of its steps.

use crate::{
    carya::host::{
        database::{Delivery, Handle},
        log::{self, Level},
    },
    http,
};

/// Runs a script. Returns the results of its steps, separated by `|`.
pub fn run(phase: &str, script: &str, db: &Handle) -> Result<String, String> {
    let mut results = Vec::new();
    for step in script.split('|').map(str::trim).filter(|step| !step.is_empty()) {
        let result = take(step, db)?;
        log::write(Level::Info, &format!("{phase} {step}: {result}"));
        results.push(result);
    }
    Ok(results.join("|"))
}

fn take(step: &str, db: &Handle) -> Result<String, String> {
    let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
    match word {
        "sql" => Ok(statement(rest, db)),
        "action" => {
            let Handle::Writer(db) = db else { return Err("this phase has no writer".into()) };
            let (name, payload) = rest.split_once(' ').unwrap_or((rest, ""));
            db.after_commit(name, payload, Delivery::AtLeastOnce).map_err(|error| error.message)?;
            Ok("registered".into())
        }
        "err" => Err(rest.into()),
        "trap" => panic!("as the script demands"),
        method => Ok(http::send(method, rest)),
    }
}

fn statement(sql: &str, db: &Handle) -> String {
    let done = match db {
        Handle::Writer(db) => db.execute(sql, &[]).map(|_| ()),
        Handle::Reader(db) => db.query(sql, &[]).map(|_| ()),
        Handle::None => return "no handle".into(),
    };
    done.map_or_else(|error| error.message, |()| "done".into())
}
