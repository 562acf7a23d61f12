//! Files that lie compressed beside the file, as curl receives them.

use std::fs;

use tokio::process::Command;

use super::folders;
use crate::support::{App, PATIENCE, Response, Result, Wrong, check, check_eq};

/// Starts an application with the file `page.html` in four codings, and `script.js` in one.
async fn start(server: &str, codings: &str) -> Result<App> {
    let text = text();
    let files = [("public/page.html", &*text), ("public/script.js", &*text), ("public/plain.txt", &*text)];
    let config = format!("{}{codings}[server]\n{server}\n", folders(&[("/static", "public")]));
    let app = App::start(&config, &files).await?;
    let folder = app.folder.path().join("public");
    // The host does not read the coding of the files, so each one has a content of its own.
    for (name, content) in [("page.html.br", "br!"), ("page.html.zst", "zstd"), ("script.js.br", "br")] {
        fs::write(folder.join(name), content)?;
    }
    let gzip = |name: &str| Command::new("gzip").args(["--keep", name]).current_dir(&folder).status();
    assert!(gzip("page.html").await?.success());
    Ok(app)
}

fn text() -> String {
    "a line of text that repeats\n".repeat(700)
}

const ALL: &str = "precompressed = ['br', 'zstd', 'gzip']\n";

async fn get(app: &App, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let request = fields.iter().fold(app.request(method, path), |request, (name, value)| request.header(*name, *value));
    Response::read(request.send().await?).await
}

#[tokio::test]
async fn clients_get_the_file_in_the_coding_that_they_prefer() -> Result {
    let app = start("", ALL).await?;
    let mut wrong = Wrong::default();
    for (file, accept, coding) in [
        ("page.html", "", ""),
        ("page.html", "br", "br"),
        ("page.html", "zstd", "zstd"),
        ("page.html", "gzip", "gzip"),
        ("page.html", "x-gzip", "gzip"),
        ("page.html", "GZIP", "gzip"),
        ("page.html", "gzip, br", "br"),
        ("page.html", "gzip;q=1.0, br;q=0.5", "gzip"),
        ("page.html", "gzip;q=0.1, br;q=0.2, zstd;q=0.3", "zstd"),
        ("page.html", "gzip;q=0.001", "gzip"),
        ("page.html", "br;q=0, gzip", "gzip"),
        ("page.html", "gzip;q=0.5, identity;q=0.8", ""),
        ("page.html", "br;q=0, zstd;q=0.000, gzip;q=0", ""),
        ("page.html", "deflate", ""),
        ("page.html", "identity;q=0", ""),
        // Another coding of the file does not exist.
        ("script.js", "gzip, br;q=0.5", "br"),
        ("script.js", "gzip, zstd", ""),
        ("plain.txt", "gzip, br, zstd", ""),
    ] {
        for method in ["GET", "HEAD"] {
            let what = format!("{method} {file} {accept}");
            let found = get(&app, method, &format!("/static/{file}"), &[("accept-encoding", accept)]).await?;
            check_eq!(wrong, (found.status, found.header("content-encoding")), (200, coding), "{what}");
            check_eq!(wrong, found.header("vary"), "accept-encoding", "{what}");
            let kind = match file {
                "page.html" => "text/html",
                "script.js" => "text/javascript",
                _ => "text/plain",
            };
            check_eq!(wrong, found.header("content-type"), kind, "{what}");
        }
    }
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--compressed", "-H", "accept-encoding: gzip"]);
    let ran = curl.arg(format!("http://{}/static/page.html", app.address())).output();
    check!(wrong, tokio::time::timeout(PATIENCE, ran).await??.stdout == text().as_bytes(), "curl decodes gzip");
    let off = start("", "").await?;
    let found = get(&off, "GET", "/static/page.html", &[("accept-encoding", "br")]).await?;
    check_eq!(wrong, (found.header("content-encoding"), found.header("vary")), ("", ""), "off by default");
    let found = get(&off, "GET", "/static/page.html.br", &[]).await?;
    check_eq!(wrong, found.text(), "br!", "the compressed file under its own name");
    Ok(())
}

#[tokio::test]
async fn each_coding_has_its_own_tag_and_ranges() -> Result {
    let app = start("", ALL).await?;
    let (path, accept) = ("/static/page.html", [("accept-encoding", "br")]);
    let mut wrong = Wrong::default();
    let plain = get(&app, "GET", path, &[]).await?;
    let packed = get(&app, "GET", path, &accept).await?;
    let (plain, packed) = (plain.header("etag"), packed.header("etag"));
    check!(wrong, plain != packed && packed.starts_with('"'), "{plain} {packed}");
    for (tag, status) in [(packed, 304), (plain, 200)] {
        let found = get(&app, "GET", path, &[accept[0], ("if-none-match", tag)]).await?;
        check_eq!(wrong, (found.status, found.header("vary")), (status, "accept-encoding"), "{tag}");
    }
    for (fields, status, body, coding) in [
        (vec![("range", "bytes=1-2")], 206, "r!", "br"),
        (vec![("range", "bytes=1-2"), ("if-range", packed)], 206, "r!", "br"),
        (vec![("range", "bytes=1-2"), ("if-range", plain)], 200, "br!", "br"),
        (vec![("range", "bytes=3-")], 416, "", ""),
    ] {
        let found = get(&app, "GET", path, &[&accept[..], &fields].concat()).await?;
        check_eq!(wrong, (found.status, found.text().as_str()), (status, body), "{fields:?}");
        check_eq!(wrong, found.header("content-encoding"), coding, "{fields:?}");
        check_eq!(wrong, found.header("vary"), "accept-encoding", "{fields:?}");
    }
    let found = get(&app, "GET", path, &[accept[0], ("range", "bytes=3-")]).await?;
    check_eq!(wrong, found.header("content-range"), "bytes */3", "the length of the compressed file");
    Ok(())
}

#[tokio::test]
async fn the_host_compresses_only_files_that_are_not_compressed_yet() -> Result {
    let app = start("compress = ['br', 'gzip']", ALL).await?;
    let mut wrong = Wrong::default();
    let found = get(&app, "GET", "/static/page.html", &[("accept-encoding", "br")]).await?;
    check_eq!(wrong, (found.header("content-encoding"), found.text().as_str()), ("br", "br!"), "the file");
    let found = get(&app, "GET", "/static/plain.txt", &[("accept-encoding", "br")]).await?;
    check_eq!(wrong, found.header("content-encoding"), "br", "compressed by the host");
    check!(wrong, found.body.len() < 2000, "{} bytes", found.body.len());
    for response in [found, get(&app, "GET", "/static/plain.txt", &[]).await?] {
        let fields: Vec<_> = response.headers.get_all("vary").iter().collect();
        check_eq!(wrong, fields.len(), 1, "{fields:?}");
    }
    Ok(())
}
