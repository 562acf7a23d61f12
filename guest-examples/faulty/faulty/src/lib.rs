//! Controller that misbehaves on request, in every access mode. The parameter `what` of a route `/{what}` selects the
//! fault.

use std::any::Any;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{process, thread};

use carya::host::database::{Reader, Writer};
use carya::host::log::{self, Level};
use carya::host::request;
use carya::host::types::{Body, Response, RowsFormat, RowsQuery, Template};
use exports::carya::host::{plain_controller, read_controller, write_controller};

wit_bindgen::generate!({
    inline: "
        package test:faulty;
        world guest {
            include carya:host/imports@0.2.0;
            export carya:host/read-controller@0.2.0;
            export carya:host/write-controller@0.2.0;
            export carya:host/plain-controller@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Faulty;
export!(Faulty);

impl read_controller::Guest for Faulty {
    fn read(db: Reader) -> Result<Response, String> {
        misbehave(db)
    }
}

impl write_controller::Guest for Faulty {
    fn write(db: Writer) -> Result<Response, String> {
        misbehave(db)
    }
}

impl plain_controller::Guest for Faulty {
    fn plain() -> Result<Response, String> {
        misbehave(())
    }
}

/// Handles that outlive the call that received them.
static KEPT: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// Number of `count` requests that this instance has served.
static COUNT: AtomicU32 = AtomicU32::new(0);

fn misbehave(db: impl Any + Send) -> Result<Response, String> {
    let what = request::param("what").ok_or("the route has no {what}")?;
    match what.as_str() {
        "panic" => panic!("as asked"),
        "error" => return Err("as asked".into()),
        "exit" => process::exit(1),
        "spin" => loop {
            black_box(());
        },
        "sleep" => thread::sleep(Duration::from_millis(number("ms", 60_000))),
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        // `recursion` exhausts the engine's stack, `stack` the guest's own stack in its memory.
        "recursion" => drop(recurse(0)),
        "stack" => drop(recurse_with_frames(0)),
        "count" => {
            let count = 1 + COUNT.fetch_add(1, Ordering::Relaxed);
            return Ok(answer(Body::Text(count.to_string())));
        }
        "kept" => {
            let kept = KEPT.lock().expect("one thread");
            let handle = kept.first().and_then(|handle| handle.downcast_ref::<Reader>()).ok_or("nothing is kept")?;
            let error = handle.query("SELECT 1", &[]).err().ok_or("the handle is alive")?;
            return Ok(answer(Body::Text(error.message)));
        }
        "keep" => KEPT.lock().expect("one thread").push(Box::new(db)),
        "print" => {
            println!("to stdout");
            eprintln!("to stderr");
            log::write(Level::Info, "to the log");
        }
        "status" => {
            return Ok(Response { status: number("code", 42) as u16, ..answer(Body::Text(what)) });
        }
        "header" => {
            let header = match text("case", "name").as_str() {
                "name" => ("bad name", "x"),
                "value" => ("x-bad", "a\r\nset-cookie: b=c"),
                name => (&*name.to_owned(), "1"),
            };
            let headers = vec![(header.0.into(), header.1.into())];
            return Ok(Response { headers, ..answer(Body::Text(what)) });
        }
        "json" => return Ok(answer(Body::Json("{ not JSON".into()))),
        "template" => {
            let (name, context) = (text("name", "no-such.html"), text("context", "{}"));
            return Ok(answer(Body::Template(Template { name, context })));
        }
        "rows" => {
            let sql = text("sql", "SELECT * FROM no_such_table");
            return Ok(answer(Body::Rows(RowsQuery { sql, params: vec![], format: RowsFormat::Json })));
        }
        "huge" => {
            return Ok(answer(Body::Bytes(vec![b'x'; number("bytes", 100 << 20) as usize])));
        }
        _ => return Err(format!("{what} is none of the faults")),
    }
    Ok(answer(Body::Text(what)))
}

fn answer(body: Body) -> Response {
    Response { status: 200, headers: vec![], body }
}

fn text(name: &str, default: &str) -> String {
    request::query(name).unwrap_or_else(|| default.to_owned())
}

fn number(name: &str, default: u64) -> u64 {
    request::query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(depth + 1)) + depth
}

#[expect(unconditional_recursion)]
fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 128]);
    black_box(recurse_with_frames(depth + 1)) + frame[127]
}
