//! Guest with every export, each of which runs a script of outbound requests and statements.
//!
//! The script of a phase is in the query parameter `NAME.PHASE`, else in the setting `PHASE`. `NAME` is the setting `name`;
//! the phases are `on-route`, `before`, `after`, `on-error`, `plain`, `read`, `write`, `init` and `run`. Steps are separated
//! by `|` (`script.rs`). Each result is logged as `NAME.PHASE STEP: RESULT`, and a controller responds with its results.

mod http;
mod script;

use carya::host::{
    config,
    database::{Handle, Reader, Writer},
    request,
    types::{Body, Failure, Response},
};
use exports::carya::host::{
    actions, after, before, model, on_error, on_route, plain_controller, read_controller, write_controller,
};

wit_bindgen::generate!({
    inline: "
        package test:caller;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/on-route@0.2.0;
            export carya:host/before@0.2.0;
            export carya:host/after@0.2.0;
            export carya:host/on-error@0.2.0;
            export carya:host/read-controller@0.2.0;
            export carya:host/write-controller@0.2.0;
            export carya:host/plain-controller@0.2.0;
            export carya:host/model@0.2.0;
            export carya:host/actions@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Caller;
export!(Caller);

impl on_route::Guest for Caller {
    fn on_route() -> Result<on_route::Decision, String> {
        run("on-route", &Handle::None)?;
        Ok(on_route::Decision::Proceed)
    }
}

impl before::Guest for Caller {
    fn before(db: Handle) -> Result<Option<Response>, String> {
        run("before", &db)?;
        Ok(None)
    }
}

impl after::Guest for Caller {
    fn after(db: Handle) -> Result<(), String> {
        run("after", &db).map(drop)
    }
}

impl on_error::Guest for Caller {
    fn on_error(db: Handle, _: Failure) -> Result<Option<Response>, String> {
        run("on-error", &db)?;
        Ok(None)
    }
}

impl plain_controller::Guest for Caller {
    fn plain() -> Result<Response, String> {
        respond("plain", &Handle::None)
    }
}

impl read_controller::Guest for Caller {
    fn read(db: Reader) -> Result<Response, String> {
        respond("read", &Handle::Reader(db))
    }
}

impl write_controller::Guest for Caller {
    fn write(db: Writer) -> Result<Response, String> {
        respond("write", &Handle::Writer(db))
    }
}

impl model::Guest for Caller {
    fn init(db: Writer) -> Result<(), String> {
        run("init", &Handle::Writer(db)).map(drop)
    }
}

impl actions::Guest for Caller {
    fn run(action: actions::Action, db: Writer) -> Result<(), String> {
        script::run(&phase("run"), &action.payload.replace(';', "|"), &Handle::Writer(db)).map(drop)
    }
}

/// Returns `NAME.PHASE`.
fn phase(phase: &str) -> String {
    format!("{}.{phase}", config::get("name").unwrap_or_default())
}

fn run(name: &str, db: &Handle) -> Result<String, String> {
    let phase = phase(name);
    let script = request::query(&phase).or_else(|| config::get(name)).unwrap_or_default();
    script::run(&phase, &script, db)
}

fn respond(name: &str, db: &Handle) -> Result<Response, String> {
    let results = run(name, db)?;
    Ok(Response { status: 200, headers: vec![], body: Body::Text(results) })
}
