//! Component for any host of `wasi:http` that runs a script from the query parameter `do`. It also imports
//! `carya:host/current`, and exports the hook phases that a test needs to compare handles.
//!
//! Steps are separated by `|`:
//!
//! - `head STATUS [NAME=VALUE]..` makes the response. With `nobody` it has no body.
//! - `set` sets it, `again` sets it a second time, `error [WORDS]` sets an error instead, `forget` leaks the outparam.
//! - `write WORDS`, `fill BYTES` and `echo` (the request) write to the body.
//! - `finish`, `trailers`, `drop` and `leak` end the body.
//! - `sql STATEMENT` runs a statement through `current`, `handle` writes the kind of the handle, `kept` uses that of an
//!   earlier request.
//! - `GET URL` and `POST URL` send a request, and print its result like `sql`.
//! - `count` writes the number of requests of this instance, `gets` requests many handles.
//! - `trap` and `spin` end the call.

mod body;
mod database;
#[path = "../../caller/src/http.rs"]
mod outbound;

use std::{
    mem,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use body::Body;
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{ErrorCode, Fields, IncomingRequest, OutgoingResponse, ResponseOutparam},
};

wit_bindgen::generate!({
    inline: "
        package test:handler;
        world guest {
            import carya:host/current@0.2.0;
            export carya:host/before@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Handler;
wasip2::http::proxy::export!(Handler);
export!(Handler);

/// Number of requests that this instance has served.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        COUNT.fetch_add(1, Relaxed);
        let script = script(&request);
        let mut call = Call { request, out: Some(out), response: None, body: None };
        for step in script.split('|').map(str::trim).filter(|step| !step.is_empty()) {
            call.take(step);
        }
    }
}

impl exports::carya::host::before::Guest for Handler {
    fn before(_: database::Handle) -> Result<Option<exports::carya::host::before::Response>, String> {
        println!("before: {}", database::kind());
        Ok(None)
    }
}

/// Returns the query parameter `do`, decoded.
fn script(request: &IncomingRequest) -> String {
    let path = request.path_with_query().unwrap_or_default();
    let encoded = path.split_once("do=").map_or("", |(_, script)| script.split('&').next().unwrap_or_default());
    let (mut decoded, mut bytes) = (Vec::new(), encoded.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

struct Call {
    request: IncomingRequest,
    out: Option<ResponseOutparam>,
    response: Option<OutgoingResponse>,
    body: Option<Body>,
}

impl Call {
    fn take(&mut self, step: &str) {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "head" => self.head(rest),
            "set" | "again" => {
                let (out, response) =
                    (self.out.take().expect("an outparam"), self.response.take().expect("a response"));
                if word == "again" {
                    // SAFETY: the test is about a handle that has been given away.
                    self.out = Some(unsafe { ResponseOutparam::from_handle(out.handle()) });
                    self.response = Some(OutgoingResponse::new(Fields::new()));
                }
                ResponseOutparam::set(out, Ok(response));
            }
            "error" => {
                let words = (!rest.is_empty()).then(|| rest.to_owned());
                ResponseOutparam::set(self.out.take().expect("an outparam"), Err(ErrorCode::InternalError(words)));
            }
            "forget" => mem::forget(self.out.take()),
            "write" => self.body().write(rest.as_bytes()),
            "fill" => self.body().fill(rest.parse().expect("a number")),
            "echo" => {
                let echo = body::echo(&self.request);
                self.body().write(&echo);
            }
            "finish" => self.body.take().expect("a body").finish(false),
            "trailers" => self.body.take().expect("a body").finish(true),
            "drop" => drop(self.body.take()),
            "leak" => mem::forget(self.body.take()),
            "sql" => println!("sql: {}", database::run(rest)),
            "kept" => {
                let result = database::kept();
                self.body().write(result.as_bytes());
            }
            "GET" | "POST" => println!("{word}: {}", outbound::send(word, rest)),
            "handle" => self.body().write(database::kind().as_bytes()),
            "gets" => database::request_many(rest.parse().expect("a number")),
            "count" => self.body().write(COUNT.load(Relaxed).to_string().as_bytes()),
            "trap" => panic!("as the script demands"),
            "spin" => loop {
                std::hint::black_box(());
            },
            other => panic!("{other} is no step"),
        }
    }

    fn head(&mut self, words: &str) {
        let mut words = words.split(' ');
        let status = words.next().and_then(|status| status.parse().ok()).expect("a status");
        let (fields, mut has_body) = (Fields::new(), true);
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => fields.append(name, value.as_bytes()).expect("a field"),
                None => has_body = false,
            }
        }
        let response = OutgoingResponse::new(fields);
        response.set_status_code(status).expect("a status");
        self.body = has_body.then(|| Body::new(response.body().expect("a body")));
        self.response = Some(response);
    }

    fn body(&mut self) -> &mut Body {
        self.body.as_mut().expect("a body")
    }
}
