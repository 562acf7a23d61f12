//! Header fields that the host adds to responses, and CORS, as curl and Chromium see them.

mod browser;

use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, Response, Result, Wrong, carya, check, check_eq, write},
};

async fn start(config: &str) -> Result<App> {
    let files = "[[static]]\npath = \"/files\"\nfolder = \"migrations\"\n";
    start_with(Engine::Sqlite, &format!("{ROUTE}{files}{config}"), &[]).await
}

/// Sends a request with header fields.
async fn send(app: &App, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Result<Response> {
    let request = fields.iter().fold(app.request(method, path), |request, (name, value)| request.header(*name, *value));
    Response::read(request.body(body.to_owned()).send().await?).await
}

const FIELDS: &str = r#"
[[headers]]
set = { "X-Content-Type-Options" = "nosniff", "Cache-Control" = "no-store", "X-Frame-Options" = "DENY" }

[[headers]]
path = "/files"
set = { "cache-control" = "public, max-age=3600" }
"#;

#[tokio::test]
async fn responses_get_the_fields_of_their_path_unless_they_have_them() -> Result {
    let app = start(FIELDS).await?;
    let own = r#"[{"answer":{"text":"own","headers":[["Cache-Control","private"],["x-frame-options","SAMEORIGIN"]]}}]"#;
    let failed = r#"[{"answer":{"status":500,"text":"failed"}}]"#;
    let mut wrong = Wrong::default();
    for (method, path, body, status, cache, frame) in [
        ("GET", "/x", "", 200, "no-store", "DENY"),
        ("HEAD", "/x", "", 200, "no-store", "DENY"),
        ("POST", "/x", own, 200, "private", "SAMEORIGIN"),
        // A cache must not keep failures for longer than it would without the configuration.
        ("POST", "/x", failed, 500, "", "DENY"),
        ("GET", "/none/none", "", 404, "", "DENY"),
        ("GET", "/files/0001_marks.sql", "", 200, "public, max-age=3600", "DENY"),
        ("GET", "/files/none", "", 404, "", "DENY"),
        ("GET", "/filesx", "", 200, "no-store", "DENY"),
        ("GET", "/%66iles/0001_marks.sql", "", 200, "public, max-age=3600", "DENY"),
    ] {
        let answer = send(&app, method, path, &[], body).await?;
        check_eq!(wrong, answer.status, status, "{method} {path}: {}", answer.text());
        check_eq!(wrong, answer.header("cache-control"), cache, "{method} {path}");
        check_eq!(wrong, answer.header("x-frame-options"), frame, "{method} {path}");
        check_eq!(wrong, answer.header("x-content-type-options"), "nosniff", "{method} {path}");
        check_eq!(wrong, answer.headers.get_all("x-frame-options").iter().count(), 1, "{method} {path}");
    }
    let file = send(&app, "GET", "/files/0001_marks.sql", &[], "").await?;
    let again = send(&app, "GET", "/files/0001_marks.sql", &[("if-none-match", file.header("etag"))], "").await?;
    check_eq!(wrong, (again.status, again.header("cache-control")), (304, "public, max-age=3600"), "304");
    let off = start("").await?;
    check_eq!(wrong, send(&off, "GET", "/x", &[], "").await?.header("cache-control"), "", "off by default");
    Ok(())
}

const CORS: &str = r#"
[[cors]]
path = "/x"
origins = ["https://app.example", "http://localhost:3000"]
methods = ["GET", "PUT"]
headers = ["content-type", "x-api-key"]
expose = ["x-request-id", "etag"]
credentials = true
max_age = "10m"

[[cors]]
path = "/files"
origins = ["*"]
headers = ["*"]
"#;

#[tokio::test]
async fn preflights_are_answered_by_the_host() -> Result {
    let app = start(CORS).await?;
    let mut wrong = Wrong::default();
    let ask = [("access-control-request-method", "PUT"), ("access-control-request-headers", "x-api-key")];
    for (path, origin, allowed, methods, headers, credentials) in [
        ("/x", "https://app.example", "https://app.example", "GET,PUT", "content-type,x-api-key", "true"),
        ("/x", "http://localhost:3000", "http://localhost:3000", "GET,PUT", "content-type,x-api-key", "true"),
        ("/x", "https://evil.example", "", "GET,PUT", "content-type,x-api-key", "true"),
        ("/x", "https://app.example.evil.example", "", "GET,PUT", "content-type,x-api-key", "true"),
        ("/x", "null", "", "GET,PUT", "content-type,x-api-key", "true"),
        ("/files/a", "https://any.example", "*", "GET,HEAD,POST,PUT,PATCH,DELETE", "x-api-key", ""),
    ] {
        let fields = [&[("origin", origin)], &ask[..]].concat();
        let answer = send(&app, "OPTIONS", path, &fields, "").await?;
        check_eq!(wrong, (answer.status, answer.body.len()), (204, 0), "{path} {origin}");
        check_eq!(wrong, answer.header("access-control-allow-origin"), allowed, "{path} {origin}");
        check_eq!(wrong, answer.header("access-control-allow-methods"), methods, "{path} {origin}");
        check_eq!(wrong, answer.header("access-control-allow-headers"), headers, "{path} {origin}");
        check_eq!(wrong, answer.header("access-control-allow-credentials"), credentials, "{path} {origin}");
        let age = if path == "/x" { "600" } else { "3600" };
        check_eq!(wrong, answer.header("access-control-max-age"), age, "{path} {origin}");
        let varies = answer.header("vary").contains("origin");
        check!(wrong, varies == (allowed != "*"), "{path} {origin}: {}", answer.header("vary"));
        check!(wrong, answer.events().is_empty(), "no guest runs: {path} {origin}");
    }
    // These are no preflights, or there are no rules for the path.
    for (path, fields, status) in [
        ("/x", vec![("origin", "https://app.example")], 204),
        ("/x", ask.to_vec(), 204),
        ("/other/other", [&[("origin", "https://app.example")], &ask[..]].concat(), 404),
    ] {
        let answer = send(&app, "OPTIONS", path, &fields, "").await?;
        check_eq!(wrong, answer.status, status, "{path} {fields:?}");
        check_eq!(wrong, answer.header("access-control-allow-methods"), "", "{path} {fields:?}");
        check_eq!(wrong, status == 404 || !answer.header("allow").is_empty(), true, "{path} {fields:?}: by the routes");
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_other_origins_may_read_responses() -> Result {
    let limit = "[[rate_limit]]\nname = \"all\"\nrequests = 6\nper = \"1h\"\n";
    let app = start(&format!("{CORS}{limit}")).await?;
    let own = r#"[{"answer":{"text":"own","headers":[["Access-Control-Allow-Origin","https://own.example"]]}}]"#;
    let failed = r#"[{"answer":{"status":500,"text":"failed"}}]"#;
    let mut wrong = Wrong::default();
    for (method, path, origin, body, status, allowed) in [
        ("GET", "/x", "https://app.example", "", 200, "https://app.example"),
        ("PUT", "/x", "https://app.example", failed, 500, "https://app.example"),
        ("GET", "/x", "https://evil.example", "", 200, ""),
        ("PUT", "/x", "https://app.example", own, 200, "https://own.example"),
        ("GET", "/files/0001_marks.sql", "https://any.example", "", 200, "*"),
        ("GET", "/files/none", "https://any.example", "", 404, "*"),
        // A page must be able to read that it has to wait.
        ("GET", "/x", "https://app.example", "", 429, "https://app.example"),
    ] {
        let answer = send(&app, method, path, &[("origin", origin)], body).await?;
        check_eq!(wrong, answer.status, status, "{method} {path} {origin}: {}", answer.text());
        check_eq!(wrong, answer.header("access-control-allow-origin"), allowed, "{method} {path} {origin}");
        let is_credible = path == "/x" && !allowed.contains("own");
        check_eq!(wrong, answer.header("access-control-allow-credentials") == "true", is_credible, "{path} {origin}");
        let exposed = if is_credible { "x-request-id,etag" } else { "" };
        check_eq!(wrong, answer.header("access-control-expose-headers"), exposed, "{method} {path} {origin}");
    }
    // A cache must not give the response without an origin to a page.
    let answer = send(&start(CORS).await?, "GET", "/x", &[], "").await?;
    check!(wrong, answer.header("vary").contains("origin"), "{}", answer.header("vary"));
    Ok(())
}

#[tokio::test]
async fn mistakes_are_reported() -> Result {
    let folder = tempfile::tempdir()?;
    let text = "[[headers]]\nset = { \"a b\" = \"x\", \"Content-Length\" = \"7\", \"x-a\" = \"a\\nb\" }\n[[cors]]\norigins = \
                [\"app.example\", \"https://app.example/\", \"*\"]\ncredentials = true\nexpose = [\"*\"]\n[[cors]]\n\
                methods = [\"GTE\"]\nheaders = [\"a b\"]\n";
    write(folder.path(), text, &[])?;
    let ran = carya().arg("check").current_dir(folder.path()).output().await?;
    let messages = String::from_utf8_lossy(&ran.stderr);
    let mut wrong = Wrong::default();
    check_eq!(wrong, ran.status.code(), Some(2), "{messages}");
    for expected in [
        "headers[0].set: \"a b\" is not the name of a header field",
        "headers[0].set: content-length is set by the host",
        "headers[0].set.x-a: \"a\\nb\" is not the value of a header field",
        "cors[0].origins[0]: \"app.example\" is not an origin; write it as \"https://app.example.org\"",
        "cors[0].origins[1]: \"https://app.example/\" is not an origin",
        "cors[0].credentials: requires a list of origins",
        "cors[0].expose: must name each header field",
        "cors[1].origins: is missing",
        "cors[1].methods[0]: \"GTE\" is not a method",
        "cors[1].headers[0]: \"a b\" is not the name of a header field",
    ] {
        check!(wrong, messages.contains(expected), "{expected}: {messages}");
    }
    Ok(())
}
