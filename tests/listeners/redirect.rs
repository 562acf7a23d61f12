//! The listener of plain HTTP that redirects to `https`.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use crate::{
    script::config,
    support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, write},
    tls::{Authority, with_certificate},
};

/// Starts an application with TLS. Returns the address of its plain listener too.
async fn start(authority: &Authority, server: &str) -> Result<(App, String)> {
    authority.sign("a", "DNS:a.test", "ec").await?;
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    let challenge = ("public/.well-known/acme-challenge/token", "answer");
    let config = format!(
        "{}redirect = \"127.0.0.1:0\"\n{server}\n[[static]]\npath = \"/\"\nfolder = \"public\"\n{}",
        with_certificate(authority, "a"),
        config()
    );
    let app =
        App::start_in(tempfile::tempdir()?, &config, &[table, challenge], &[("CARYA_ACCESS_LOG", "full")]).await?;
    let line = app.log.wait_until("redirect", |line| line["message"] == "redirect").await?;
    Ok((app, line["address"].as_str().ok_or("no address")?.to_owned()))
}

#[tokio::test]
async fn plain_http_is_redirected_with_path_and_query() -> Result {
    let authority = Authority::new().await?;
    let (app, plain) = start(&authority, "").await?;
    let port = app.address().rsplit(':').next().ok_or("no port")?.to_owned();
    let mut wrong = Wrong::default();
    for (request, status, location) in [
        ("GET / HTTP/1.1\r\nhost: a.test", 308, format!("https://a.test:{port}/")),
        ("GET /x/y?a=b&c=%20 HTTP/1.1\r\nhost: a.test:80", 308, format!("https://a.test:{port}/x/y?a=b&c=%20")),
        ("POST /x HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0", 308, format!("https://a.test:{port}/x")),
        ("GET //evil.example/x HTTP/1.1\r\nhost: a.test", 308, format!("https://a.test:{port}//evil.example/x")),
        ("GET /x HTTP/1.1\r\nhost: [::1]:80", 308, format!("https://[::1]:{port}/x")),
        ("GET http://b.test/x HTTP/1.1\r\nhost: a.test", 308, format!("https://b.test:{port}/x")),
        ("GET /x HTTP/1.0\r\nhost: a.test", 308, format!("https://a.test:{port}/x")),
        ("GET /x HTTP/1.0", 400, String::new()),
        ("GET /x HTTP/1.1", 400, String::new()),
        ("GET /x HTTP/1.1\r\nhost: a b", 400, String::new()),
        ("GET /.well-known/acme-challenge/token HTTP/1.1\r\nhost: a.test", 200, String::new()),
        ("GET /.well-known/acme-challenge/none HTTP/1.1\r\nhost: a.test", 404, String::new()),
        (
            "GET /.well-known/acme-challenge HTTP/1.1\r\nhost: a",
            308,
            format!("https://a:{port}/.well-known/acme-challenge"),
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: a.test", 204, String::new()),
    ] {
        let mut stream = TcpStream::connect(&plain).await?;
        stream.write_all(format!("{request}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut response = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut response)).await??;
        let found = response.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
        check!(
            wrong,
            response.starts_with("HTTP/1.") && response[8..].starts_with(&format!(" {status} ")),
            "{request}: {response}"
        );
        check_eq!(wrong, found, location, "{request}");
        check!(wrong, status != 200 || response.ends_with("answer"), "{request}: {response}");
    }
    let line = app.log.wait_until("308", |line| line["target"] == "carya::access" && line["status"] == 308).await?;
    check_eq!(wrong, (&line["message"], &line["path"]), (&"server".into(), &"/".into()), "{line}");

    // curl follows the redirect to the application, with the method and the body.
    let [plain_port, ca] =
        [plain.rsplit(':').next().unwrap_or_default().to_owned(), authority.path("ca.pem").display().to_string()];
    let resolve = [&plain_port, &port].map(|port| format!("a.test:{port}:127.0.0.1"));
    for http in ["--http1.1", "--http2"] {
        let mut curl = Command::new("curl");
        curl.args(["-sSL", http, "--cacert", &ca, "--resolve", &resolve[0], "--resolve", &resolve[1]]);
        curl.args(["-d", r#"[{"echo":true}]"#]).arg(format!("http://a.test:{plain_port}/x"));
        let ran = timeout(PATIENCE, curl.output()).await??;
        let output = String::from_utf8_lossy(&ran.stdout);
        check!(wrong, output.contains(r#""scheme":"https""#), "{http}: {output} {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_port_of_the_target_can_be_set() -> Result {
    let authority = Authority::new().await?;
    let mut wrong = Wrong::default();
    for (port, location) in [(443, "https://a.test/x"), (8443, "https://a.test:8443/x")] {
        let (_app, plain) = start(&authority, &format!("redirect_port = {port}")).await?;
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let answer = client.get(format!("http://{plain}/x")).header("host", "a.test").send().await?;
        check_eq!(wrong, answer.headers()["location"], location, "{port}");
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_requires_tls() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[server]\nredirect = \"127.0.0.1:0\"\n", &[])?;
    let ran = carya().arg("check").current_dir(folder.path()).output().await?;
    let messages = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{messages}");
    assert!(messages.contains("carya.toml:2: server.redirect: requires tls_cert and tls_key"), "{messages}");
    Ok(())
}
