//! Compressed responses, as curl receives and decodes them.

use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::{
    script::config,
    support::{App, PATIENCE, Result, Wrong, check, check_eq},
};

const FILES: &str = "[[static]]\npath = \"/files\"\nfolder = \"files\"\n";

/// A text of 20 kB.
fn text() -> String {
    "a line of text that repeats\n".repeat(700)
}

async fn start(server: &str) -> Result<App> {
    let table = "CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 49999) SELECT i FROM c";
    let text = text();
    let files = [
        ("migrations/0001_t.sql", table),
        ("files/a.txt", &*text),
        ("files/a.bin", &text),
        ("files/small.txt", "small"),
    ];
    App::start_in(tempfile::tempdir()?, &format!("{}{FILES}[server]\n{server}\n", config()), &files, &[]).await
}

const ON: &str = "compress = ['br', 'zstd', 'gzip']";

/// A response as curl receives it.
struct Received {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }
}

/// Sends a request by curl. `args` may contain `--compressed`, which decodes the body.
async fn curl(app: &App, path: &str, args: &[&str]) -> Result<Received> {
    let head = app.folder.path().join("head");
    let mut command = Command::new("curl");
    command.args(["-sS", "-D"]).arg(&head).args(args).arg(format!("http://{}{path}", app.address()));
    let ran = tokio::time::timeout(PATIENCE, command.output()).await??;
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    let head = std::fs::read_to_string(head)?;
    let status = head.split_whitespace().nth(1).ok_or("no status")?.parse()?;
    Ok(Received { status, head, body: ran.stdout })
}

/// Returns a script that responds with a text and headers.
fn answer(text: &str, headers: &[(&str, &str)]) -> String {
    json!([{ "answer": { "text": text, "headers": headers } }]).to_string()
}

#[tokio::test]
async fn clients_get_the_coding_that_they_accept() -> Result {
    let app = start(ON).await?;
    let (text, script) = (text(), answer(&text(), &[]));
    let mut wrong = Wrong::default();
    for (accept, coding) in [
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip", "gzip"),
        ("gzip;q=0.5, br;q=0.9", "br"),
        ("deflate", ""),
        ("gzip;q=0", ""),
        ("identity", ""),
        ("*;q=0", ""),
        ("identity;q=0, deflate", ""),
    ] {
        let field = format!("accept-encoding: {accept}");
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            for (path, args) in [("/x", vec!["-d", &*script]), ("/files/a.txt", vec![])] {
                let what = format!("{path} {accept} {http}");
                let plain = curl(&app, path, &[&args[..], &["-H", &field, http]].concat()).await?;
                check_eq!(wrong, (plain.status, plain.header("content-encoding")), (200, coding), "{what}");
                check_eq!(wrong, plain.header("vary").to_ascii_lowercase(), "accept-encoding", "{what}");
                check_eq!(wrong, plain.body == text.as_bytes(), coding.is_empty(), "{what}");
                check!(wrong, coding.is_empty() || plain.body.len() < 2000, "{what}: {} bytes", plain.body.len());
                if !coding.is_empty() {
                    let args = [&args[..], &["-H", &field, "--compressed", http]].concat();
                    check!(wrong, curl(&app, path, &args).await?.body == text.as_bytes(), "{what}: decoded");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn some_responses_are_not_compressed() -> Result {
    let app = start(ON).await?;
    let text = text();
    let mut wrong = Wrong::default();
    for (what, path, script) in [
        ("a small text", "/x", Some(answer("small", &[]))),
        ("a small file", "/files/small.txt", None),
        ("a type that is not in the list", "/files/a.bin", None),
        ("an image", "/x", Some(answer(&text, &[("content-type", "image/png")]))),
        ("an encoded body", "/x", Some(answer(&text, &[("content-encoding", "identity-of-the-guest")]))),
        ("no-transform", "/x", Some(answer(&text, &[("cache-control", "private, no-transform")]))),
    ] {
        let args = script.as_ref().map_or(vec![], |script| vec!["-d", script.as_str()]);
        let found = curl(&app, path, &[&args[..], &["-H", "accept-encoding: br, gzip"]].concat()).await?;
        let coding = found.header("content-encoding");
        check!(wrong, ["", "identity-of-the-guest"].contains(&coding), "{what}: {coding}");
        check_eq!(wrong, found.header("vary"), "", "{what}");
        check_eq!(wrong, found.header("content-length"), found.body.len().to_string(), "{what}");
    }
    let off = start("").await?;
    let found = curl(&off, "/files/a.txt", &["-H", "accept-encoding: br"]).await?;
    check_eq!(wrong, (found.header("content-encoding"), found.header("vary")), ("", ""), "off by default");
    let gzip =
        start("compress = ['gzip']\ncompress_min_size = 1\ncompress_types = ['application/octet-stream']").await?;
    let found = curl(&gzip, "/files/a.bin", &["-H", "accept-encoding: br, gzip"]).await?;
    check_eq!(wrong, found.header("content-encoding"), "gzip", "as configured");
    let found = curl(&gzip, "/files/a.txt", &["-H", "accept-encoding: br, gzip"]).await?;
    check_eq!(wrong, found.header("content-encoding"), "", "as configured");
    Ok(())
}

#[tokio::test]
async fn validators_and_ranges_hold_for_compressed_responses() -> Result {
    let app = start(&format!("{ON}\netag = true")).await?;
    // Short enough for the head of an HTTP/2 request.
    let script = answer(&"a line of text\n".repeat(200), &[]);
    let script: String = form_urlencoded::byte_serialize(script.as_bytes()).collect();
    let guest = format!("/x?script={script}");
    let mut wrong = Wrong::default();
    for path in ["/files/a.txt", "/files/a.txt?again", &guest] {
        let short = &path[..path.len().min(20)];
        let plain = curl(&app, path, &[]).await?;
        let packed = curl(&app, path, &["-H", "accept-encoding: br"]).await?;
        let (strong, weak) = (plain.header("etag").to_owned(), packed.header("etag").to_owned());
        check!(wrong, strong.starts_with('"') && weak == format!("W/{strong}"), "{short}: {strong} {weak}");
        for tag in [&strong, &weak] {
            let field = format!("if-none-match: {tag}");
            let again = curl(&app, path, &["-H", &field, "-H", "accept-encoding: br"]).await?;
            check_eq!(wrong, (again.status, again.body.len()), (304, 0), "{short}: {tag}");
            check_eq!(wrong, again.header("vary").to_ascii_lowercase(), "accept-encoding", "{short}: {tag}");
        }
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            let head = curl(&app, path, &["-I", "-H", "accept-encoding: br", http]).await?;
            check_eq!(wrong, (head.status, head.header("content-encoding")), (200, "br"), "HEAD {short} {http}");
            check_eq!(wrong, (head.header("etag"), head.header("content-length")), (&*weak, ""), "HEAD {short} {http}");
        }
    }
    let range = ["-r", "0-9", "-H", "accept-encoding: br"];
    let part = curl(&app, "/files/a.txt", &range).await?;
    check_eq!(wrong, (part.status, part.header("content-encoding"), part.body.len()), (206, "", 10), "a range");
    Ok(())
}

#[tokio::test]
async fn streamed_rows_are_compressed_and_counted() -> Result {
    let app = start(ON).await?;
    let script = json!([{ "answer": { "rows": { "sql": "SELECT n FROM t", "format": "csv" } } }]).to_string();
    let path = format!("/x?script={}", form_urlencoded::byte_serialize(script.as_bytes()).collect::<String>());
    let plain = curl(&app, &path, &[]).await?;
    let args = ["-H", "accept-encoding: zstd", "-H", "x-request-id: packed"];
    let packed = curl(&app, &path, &args).await?;
    let decoded = curl(&app, &path, &["--compressed", "-H", "accept-encoding: zstd"]).await?;
    assert_eq!(packed.header("content-encoding"), "zstd");
    assert!(packed.body.len() < plain.body.len() / 2, "{} of {} bytes", packed.body.len(), plain.body.len());
    assert!(decoded.body == plain.body, "the rows are complete");
    let line = app.log.wait_until("packed", |line| line["request"] == "packed" && line["status"] == 200).await?;
    assert_eq!((&line["bytes_out"], &line["aborted"]), (&json!(packed.body.len()), &Json::Null), "{line}");
    Ok(())
}
