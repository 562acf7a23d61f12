//! HTTP server by `wstd`, with one addition for carya: it writes rows through `carya:host/current`.
//!
//! All guests in `foreign` serve the same paths: `/../echo` (method and body), `/../row` (inserts the body as a row), and
//! `/../trap` (inserts it, responds, and then fails).

use carya::host::{current, database::Handle, database::Value};
use wstd::{
    http::{
        IntoBody, Request, Response,
        body::{BodyForthcoming, IncomingBody},
        server::{Finished, Responder},
    },
    io::{AsyncRead, AsyncWrite},
};

wit_bindgen::generate!({
    inline: "
        package foreign:wstd;
        world rows {
            import carya:host/current@0.2.0;
        }
    ",
    path: "../../../wit",
    generate_all,
});

#[wstd::http_server]
async fn main(mut request: Request<IncomingBody>, responder: Responder) -> Finished {
    let mut body = Vec::new();
    request.body_mut().read_to_end(&mut body).await.expect("a body");
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = request.uri().path();
    match path.rsplit('/').next() {
        Some("echo") => {
            let response = Response::builder()
                .header("x-sdk", "wstd")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2")
                .header("x-sent", request.headers().get("x-sent").cloned().unwrap_or("none".parse().expect("a value")));
            let text = format!("{} {body}", request.method());
            responder.respond(response.body(text.into_body()).expect("a response")).await
        }
        Some("row") => {
            insert(body);
            responder.respond(Response::builder().status(201).body("written".into_body()).expect("a response")).await
        }
        _ => {
            insert(body);
            let mut out = responder.start_response(Response::new(BodyForthcoming));
            let result = out.write_all(b"written").await;
            let _finished = Finished::finish(out, result, None);
            panic!("after the response")
        }
    }
}

fn insert(mark: String) {
    let Handle::Writer(db) = current::get() else { panic!("no writer") };
    db.execute("INSERT INTO marks VALUES (?)", &[Value::Text(mark)]).expect("a row");
}
