//! Files from the folders of `[[static]]`: their paths, and the precedence of routes.

mod compressed;
mod pages;

use std::fs;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use super::{
    deploy::{Host, files},
    support::{App, PATIENCE, Response, Result, Wrong, carya, check, check_eq, write},
};

const ROUTES: &str = r#"
    [component.probe]
    path = "{guest:probe}"
    [[route]]
    path = "/items/{id}"
    methods = ["GET"]
    component = "probe"
    [[route]]
    path = "/static/routed"
    component = "probe"
"#;

const FILES: [(&str, &str); 7] = [
    ("public/index.html", "index"),
    ("public/a.txt", "a"),
    ("public/items/7", "hidden by a route"),
    ("public/static/a.txt", "hidden by a longer prefix"),
    ("static/a.txt", "static a"),
    ("static/routed", "hidden by a route"),
    ("static/sub/index.html", "static sub"),
];

fn folders(folders: &[(&str, &str)]) -> String {
    let section = |(path, folder): &(&str, &str)| format!("[[static]]\npath = \"{path}\"\nfolder = \"{folder}\"\n");
    ROUTES.to_owned() + &folders.iter().map(section).collect::<String>()
}

async fn start(config: &str) -> Result<App> {
    App::start(config, &FILES).await
}

/// Returns whether a response is that of a route. With `debug`, such a response has its events, a file has none.
fn is_routed(answer: &Response) -> bool {
    !answer.header("server-timing").is_empty()
}

#[tokio::test]
async fn a_folder_at_the_root_serves_paths_without_a_route() -> Result {
    let app = start(&folders(&[("/", "public")])).await?;
    let mut wrong = Wrong::default();
    for (method, path, status, body) in [
        ("GET", "/", 200, Some("index")),
        ("GET", "/a.txt", 200, Some("a")),
        ("HEAD", "/a.txt", 200, Some("")),
        ("GET", "/a.txt?v=1", 200, Some("a")),
        ("GET", "/nowhere", 404, None),
        ("GET", "/../carya.toml", 404, None),
        ("GET", "/%2e%2e/carya.toml", 404, None),
        ("POST", "/a.txt", 405, None),
        ("GET", "/static/a.txt", 200, Some("hidden by a longer prefix")),
    ] {
        let answer = app.call(method, path).await?;
        check_eq!(wrong, answer.status, status, "{method} {path}: {}", answer.text());
        check!(wrong, body.is_none_or(|body| answer.text() == body), "{method} {path}: {}", answer.text());
        check!(wrong, !is_routed(&answer), "{method} {path}");
    }
    assert!(is_routed(&app.get("/items/7").await?));
    Ok(())
}

#[tokio::test]
async fn a_prefix_hides_no_route_and_the_longest_prefix_serves() -> Result {
    let app = start(&folders(&[("/", "public"), ("/static/", "static"), ("/items", "public")])).await?;
    let mut wrong = Wrong::default();
    for (method, path, status, routed, body) in [
        ("GET", "/items/7", 200, true, None),
        // The route matches the path, so its methods apply, and not those of files.
        ("DELETE", "/items/7", 405, true, None),
        ("GET", "/items/a/b", 404, false, None),
        ("GET", "/items/a.txt", 200, true, None),
        ("POST", "/static/routed", 200, true, None),
        ("GET", "/static/a.txt", 200, false, Some("static a")),
        ("GET", "/static/sub/", 200, false, Some("static sub")),
        ("GET", "/statics", 404, false, None),
        ("GET", "/a.txt", 200, false, Some("a")),
    ] {
        let answer = app.call(method, path).await?;
        check_eq!(wrong, (answer.status, is_routed(&answer)), (status, routed), "{method} {path}: {}", answer.text());
        check!(wrong, body.is_none_or(|body| answer.text() == body), "{method} {path}: {}", answer.text());
    }
    let answer = app.get("/static/sub").await?;
    assert_eq!((answer.status, answer.header("location")), (307, "/static/sub/"));
    Ok(())
}

#[tokio::test]
async fn redirects_to_folders_below_their_prefix() -> Result {
    let prefixes = [("/", "public"), ("/static", "static"), ("/%6Dore", "static"), ("/none", "public/items")];
    let app =
        App::start(&folders(&prefixes), &[FILES.as_slice(), &[("public/sub/index.html", "sub")]].concat()).await?;
    let mut wrong = Wrong::default();
    for (path, status, location) in [
        ("/static/sub", 307, "/static/sub/"),
        ("/static/sub?a=%2F&b=//", 307, "/static/sub/?a=%2F&b=//"),
        ("/static/sub/", 200, ""),
        ("/static//sub", 307, "/static/sub/"),
        ("/static/%73ub", 307, "/static/sub/"),
        ("/more/sub", 307, "/more/sub/"),
        ("/mor%65/sub/", 200, ""),
        ("/sub", 307, "/sub/"),
        ("//sub", 307, "/sub/"),
        ("///sub?a", 307, "/sub/?a"),
        ("//static/sub", 404, ""),
        ("//evil.example/..", 404, ""),
        ("//evil.example/%2e%2e", 404, ""),
        ("/static/..", 404, ""),
        ("/static/sub/..", 404, ""),
        ("/static%2Fsub", 404, ""),
        ("/static/sub%2Findex.html", 404, ""),
        ("/%2Fsub", 404, ""),
        // Neither folder has an `index.html`.
        ("/static", 404, ""),
        ("/none", 404, ""),
        ("/", 200, ""),
    ] {
        for method in ["GET", "HEAD"] {
            let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let mut stream = TcpStream::connect(app.address()).await?;
            stream.write_all(head.as_bytes()).await?;
            let mut response = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut response)).await??;
            let found = response.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
            check!(wrong, response.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {response}");
            check_eq!(wrong, found, location, "{method} {path}");
        }
    }
    fs::write(app.folder.path().join("static/index.html"), "static")?;
    let answer = app.get("/static?a=1").await?;
    assert_eq!((answer.status, answer.header("location")), (307, "/static/?a=1"));
    assert_eq!(app.get("/static/").await?.text(), "static");
    assert_eq!(app.post("/static", "").await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn paths_that_cannot_name_a_file_are_not_found() -> Result {
    let app = start(&folders(&[("/static", "static")])).await?;
    let folder = app.folder.path().join("static");
    std::os::unix::fs::symlink("loop", folder.join("loop"))?;
    fs::create_dir_all(folder.join("odd/index.html"))?;
    let (name, path) = ("x".repeat(300), "x/".repeat(3000));
    let mut wrong = Wrong::default();
    for path in ["%00", "a.txt%00", "loop", "loop/a", "odd/", &name, &path] {
        for (method, field) in [("GET", "accept"), ("HEAD", "accept"), ("GET", "range")] {
            let request = app.request(method, &format!("/static/{path}")).header(field, "bytes=0-0");
            check_eq!(wrong, Response::read(request.send().await?).await?.status, 404, "{method} {field} {path}");
        }
    }
    Ok(())
}

/// Sends a GET or HEAD request for `/static/ten` with header fields.
async fn ten(app: &App, method: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let request =
        fields.iter().fold(app.request(method, "/static/ten"), |request, (name, value)| request.header(*name, *value));
    Response::read(request.send().await?).await
}

#[tokio::test]
async fn serves_ranges_of_files() -> Result {
    let app =
        App::start(&folders(&[("/static", "static")]), &[("static/ten", "0123456789"), ("static/empty", "")]).await?;
    let mut wrong = Wrong::default();
    for (range, status, body, content_range) in [
        ("bytes=2-5", 206, "2345", "bytes 2-5/10"),
        ("Bytes=2-5", 206, "2345", "bytes 2-5/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=7-99", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
        ("bytes=5-2", 200, "0123456789", ""),
        ("bytes=a-b", 200, "0123456789", ""),
        ("items=2-5", 200, "0123456789", ""),
        ("bytes=0-1,4-5", 200, "0123456789", ""),
        ("bytes=0-1, 20-30", 200, "0123456789", ""),
    ] {
        let answer = ten(&app, "GET", &[("range", range)]).await?;
        check_eq!(wrong, (answer.status, answer.text().as_str()), (status, body), "{range}");
        check_eq!(wrong, answer.header("content-range"), content_range, "{range}");
        check!(wrong, !answer.header("etag").is_empty(), "{range}: {:?}", answer.headers);
        // Only GET has ranges.
        let answer = ten(&app, "HEAD", &[("range", range)]).await?;
        check_eq!(wrong, (answer.status, answer.header("content-length")), (200, "10"), "HEAD {range}");
    }
    for (range, status) in [("bytes=0-", 416), ("bytes=-1", 200), ("bytes=0-0", 416)] {
        let answer = Response::read(app.request("GET", "/static/empty").header("range", range).send().await?).await?;
        check_eq!(wrong, (answer.status, answer.text().as_str()), (status, ""), "empty: {range}");
    }
    let missing = Response::read(app.request("GET", "/static/no").header("range", "bytes=0-1").send().await?).await?;
    assert_eq!(missing.status, 404);
    Ok(())
}

#[tokio::test]
async fn serves_a_range_only_of_the_version_that_the_client_has() -> Result {
    let app = App::start(&folders(&[("/static", "static")]), &[("static/ten", "0123456789")]).await?;
    let whole = app.get("/static/ten").await?;
    let (etag, modified) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    let weak = format!("W/{etag}");
    let mut wrong = Wrong::default();
    for (validator, status) in [
        (&*etag, 206),
        (&*modified, 206),
        (&*weak, 200),
        ("\"other\"", 200),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ("x", 200),
    ] {
        for range in ["bytes=2-5", "bytes=10-"] {
            let expected = if range == "bytes=10-" && status == 206 { 416 } else { status };
            let answer = ten(&app, "GET", &[("range", range), ("if-range", validator)]).await?;
            check_eq!(wrong, answer.status, expected, "{range} {validator}");
            check!(wrong, status != 200 || answer.text() == "0123456789", "{range} {validator}: {}", answer.text());
        }
    }
    // Without a range the validator has no effect, and other conditions come before it.
    for (fields, status) in [
        (vec![("if-range", "\"other\"")], 200),
        (vec![("range", "bytes=2-5"), ("if-none-match", &*etag)], 304),
        (vec![("range", "bytes=2-5"), ("if-match", "\"other\"")], 412),
        // Several fields are one list.
        (vec![("if-none-match", "\"other\""), ("if-none-match", &*etag)], 304),
        (vec![("if-none-match", "\"other\""), ("if-none-match", "\"another\"")], 200),
        (vec![("if-match", "\"other\""), ("if-match", &*etag)], 200),
        (vec![("range", "bytes=2-5"), ("if-range", &*etag), ("if-range", "\"other\"")], 200),
        (vec![("range", "bytes=2-5"), ("if-range", &*etag), ("if-match", &*etag)], 206),
    ] {
        check_eq!(wrong, ten(&app, "GET", &fields).await?.status, status, "{fields:?}");
    }
    fs::write(app.folder.path().join("static/ten"), "abcdefghijk")?;
    let answer = ten(&app, "GET", &[("range", "bytes=2-5"), ("if-range", &etag)]).await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "abcdefghijk"));
    Ok(())
}

#[tokio::test]
async fn reports_invalid_prefixes_before_the_start() -> Result {
    let mut wrong = Wrong::default();
    for (paths, reason) in [
        (vec!["/zz/{*p}"], "carya.toml:12: static[0].path: \"/zz/{*p}\" is a prefix and not a pattern"),
        (vec!["/a{b"], "is a prefix and not a pattern"),
        (vec![""], "is empty"),
        (vec!["no-slash"], "does not start with `/`"),
        (vec!["/a//b"], "has an empty segment"),
        (vec!["/a b"], "has characters that clients percent-encode; write it as \"/a%20b\""),
        (vec!["/a", "/b", "/a/"], "static[2].path: \"/a\" is the prefix of static[0]"),
        (vec!["/", "/"], "static[1].path: \"/\" is the prefix of static[0]"),
    ] {
        let folder = tempfile::tempdir()?;
        let sections: Vec<_> = paths.iter().map(|path| (*path, "public")).collect();
        write(folder.path(), &folders(&sections), &FILES)?;
        for command in ["check", "serve"] {
            let mut program: Command = carya();
            let running = program.arg(command).current_dir(folder.path()).output();
            let ran = tokio::time::timeout(PATIENCE, running).await??;
            let err = String::from_utf8_lossy(&ran.stderr);
            check!(wrong, ran.status.code() == Some(2) && err.contains(reason), "{command} {paths:?}: {err}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_route_with_a_parameter_serves_paths_without_a_file() -> Result {
    let config = folders(&[("/static", "static"), ("/", "public")]).replace("/static/routed", "/{*rest}");
    let app = start(&config).await?;
    let mut wrong = Wrong::default();
    for (method, path, routed, body) in [
        ("GET", "/static/a.txt", false, Some("static a")),
        ("HEAD", "/static/a.txt", false, Some("")),
        ("GET", "/static/nowhere", true, None),
        ("POST", "/static/a.txt", true, None),
        // The pattern `/{*rest}` begins with the prefix `/`, so the route comes before that folder.
        ("GET", "/a.txt", true, None),
    ] {
        let answer = app.call(method, path).await?;
        check_eq!(wrong, (answer.status, is_routed(&answer)), (200, routed), "{method} {path}: {}", answer.text());
        check!(wrong, body.is_none_or(|body| answer.text() == body), "{method} {path}: {}", answer.text());
    }
    // The route receives the body, although the host looked for a file first.
    let answer = app.post("/static/x", r#"[{"answer":{"status":201}}]"#).await?;
    assert_eq!(answer.status, 201, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_reload_with_a_wrong_prefix_is_refused_and_the_next_one_is_served() -> Result {
    let app = start(&folders(&[("/static", "static")])).await?;
    let mut wrong = Wrong::default();
    for prefix in ["/zz/{*p}", "no-slash", "/a//b"] {
        write(app.folder.path(), &folders(&[("/static", "static"), (prefix, "public")]), &[])?;
        let mut seen = app.log.lines().len();
        app.signal("HUP").await?;
        app.log.next(&mut seen, &["the old generation stays"]).await?;
        check_eq!(wrong, app.get("/static/a.txt").await?.text(), "static a", "{prefix}");
    }
    write(app.folder.path(), &folders(&[("/static", "static"), ("/", "public")]), &[])?;
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(app.get("/a.txt").await?.text(), "a");
    Ok(())
}

#[tokio::test]
async fn a_deployment_with_a_wrong_prefix_is_not_recorded() -> Result {
    let host = Host::start().await?;
    let good = host.put(&files("one")?).await?;
    assert_eq!(host.activate(&good).await?.status, 200);
    let mut wrong = files("two")?;
    let config = String::from_utf8(wrong["carya.toml"].clone())?.replace("\"/static\"", "\"/zz/{*p}\"");
    wrong.insert("carya.toml".to_owned(), config.into_bytes());
    let answer = host.activate(&host.put(&wrong).await?).await?;
    assert!(answer.status == 422 && answer.text().contains("is a prefix and not a pattern"), "{}", answer.text());
    let host = host.killed().await?;
    assert_eq!(host.served().await?, (good.id.to_string(), "one".to_owned()));

    let mut root = files("three")?;
    let config = String::from_utf8(root["carya.toml"].clone())?.replace("\"/static\"", "\"/\"");
    root.insert("carya.toml".to_owned(), config.into_bytes());
    let root = host.put(&root).await?;
    assert_eq!(host.activate(&root).await?.status, 200);
    let host = host.killed().await?;
    // The route `/{what}` matches every path of one segment, so it hides the page. Deeper paths are those of files.
    assert_eq!(host.app.get("/x").await?.header("x-carya-generation"), root.id.to_string());
    assert_eq!(host.app.get("/deeper/page.txt").await?.status, 404);
    fs::metadata(host.app.folder.path())?;
    Ok(())
}
