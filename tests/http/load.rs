//! The load generators h2load and wrk: no request fails.

use tokio::{process::Command, time::timeout};

use crate::{
    script::config,
    support::{App, PATIENCE, Result, Wrong, check, servers},
    tls::{Authority, with_certificate},
};

const REQUESTS: usize = 1000;

async fn start(server: &str) -> Result<App> {
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    App::start_in(tempfile::tempdir()?, &format!("{server}{}", config()), &[table], &[]).await
}

/// Runs a load generator. Returns its output, or `None` if it is not installed.
async fn run(program: &'static str, args: &[&str]) -> Result<Option<String>> {
    let ran = timeout(PATIENCE, Command::new(program).args(args).output()).await?;
    match ran {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none(), "no {program} for the tests: run `make servers`");
            servers::report_skipped(program, "it is not installed");
            Ok(None)
        }
        ran => Ok(Some(String::from_utf8_lossy(&ran?.stdout).into_owned())),
    }
}

#[tokio::test]
async fn h2load_gets_an_answer_to_each_request() -> Result {
    let authority = Authority::new().await?;
    authority.sign("a", "DNS:a.test,IP:127.0.0.1", "ec").await?;
    let (plain, tls) = (start("").await?, start(&with_certificate(&authority, "a")).await?);
    let count = REQUESTS.to_string();
    let mut wrong = Wrong::default();
    for (app, scheme) in [(&plain, "http"), (&tls, "https")] {
        for protocol in [["--h1"].as_slice(), &["-m", "50"]] {
            let url = format!("{scheme}://{}/x", app.address());
            let args = [&["-n", &count, "-c", "10"], protocol, &[&url]].concat();
            let Some(output) = run("h2load", &args).await? else { return Ok(()) };
            let expected =
                format!("requests: {REQUESTS} total, {REQUESTS} started, {REQUESTS} done, {REQUESTS} succeeded");
            check!(wrong, output.contains(&expected), "{scheme} {protocol:?}: {output}");
            check!(wrong, output.contains(&format!("status codes: {REQUESTS} 2xx")), "{scheme} {protocol:?}: {output}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn wrk_gets_an_answer_to_each_request() -> Result {
    let app = start("").await?;
    let url = format!("http://{}/x", app.address());
    let Some(output) = run("wrk", &["-t", "1", "-c", "10", "-d", "2s", &url]).await? else { return Ok(()) };
    assert!(output.contains("requests in"), "{output}");
    assert!(!output.contains("Non-2xx") && !output.contains("Socket errors"), "{output}");
    Ok(())
}
