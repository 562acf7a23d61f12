//! `[[rate_limit]]`: which requests count together, and how clients learn their allowance.

use std::time::Duration;

use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::exceeded;
use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, PATIENCE, Response, Result, Wrong, carya, check, check_eq, write},
};

async fn start(limits: &str) -> Result<App> {
    let config = format!(
        "{ROUTE}[server]\nmetrics = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\n[[static]]\npath = \"/files\"\nfolder = \
         \"migrations\"\n{limits}"
    );
    start_with(Engine::Sqlite, &config, &[]).await
}

fn limit(name: &str, rest: &str) -> String {
    format!("[[rate_limit]]\nname = \"{name}\"\n{rest}\n")
}

/// Sends a GET request with header fields.
async fn get(app: &App, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let request = fields.iter().fold(app.request("GET", path), |request, (name, value)| request.header(*name, *value));
    Response::read(request.send().await?).await
}

#[tokio::test]
async fn a_client_over_the_limit_gets_429_with_the_time_to_wait() -> Result {
    let app = start(&limit("all", "requests = 3\nper = \"1h\"")).await?;
    let mut wrong = Wrong::default();
    for (left, reset) in [(2, 1200), (1, 2400), (0, 3600)] {
        let answer = get(&app, "/x", &[]).await?;
        check_eq!(wrong, answer.status, 200, "{left}");
        check_eq!(wrong, answer.header("ratelimit"), format!("\"all\";r={left};t={reset}"), "{left}");
        check_eq!(wrong, answer.header("ratelimit-policy"), "\"all\";q=3;w=3600", "{left}");
    }
    let answer = app.post("/x", r#"[{"sql":"INSERT INTO marks VALUES ('m')"}]"#).await?;
    check_eq!(wrong, (answer.status, answer.header("content-type")), (429, "application/problem+json"), "the fourth");
    let wait: u64 = answer.header("retry-after").parse()?;
    check!(wrong, (1190..=1200).contains(&wait), "{wait}");
    check_eq!(wrong, answer.header("ratelimit"), format!("\"all\";r=0;t={wait}"), "the fourth");
    check_eq!(wrong, app.number("SELECT COUNT(*) FROM marks").await?, 0, "the guest does not run");
    check_eq!(wrong, exceeded(&app, "rate_limit").await?, 1, "it is counted");
    let line = app.log.wait_until("the 429", |line| line["target"] == "carya::access" && line["status"] == 429).await?;
    check_eq!(wrong, line["message"], "refused", "{line}");
    for path in ["/files/0001_marks.sql", "/none/none"] {
        check_eq!(wrong, get(&app, path, &[]).await?.status, 429, "{path}");
    }
    for http in ["--http1.1", "--http2-prior-knowledge"] {
        let url = format!("http://{}/x", app.address());
        let args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", http, &url];
        let ran = timeout(PATIENCE, Command::new("curl").args(args).output()).await??;
        check_eq!(wrong, String::from_utf8_lossy(&ran.stdout), "429", "{http}");
    }
    // A reload fills the allowances.
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    check_eq!(wrong, get(&app, "/x", &[]).await?.status, 200, "after a reload");
    Ok(())
}

#[tokio::test]
async fn the_allowance_grows_evenly() -> Result {
    let app = start(&limit("all", "requests = 10\nper = \"2s\"\nburst = 1")).await?;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push((get(&app, "/x", &[]).await?.status, get(&app, "/x", &[]).await?.status));
        sleep(Duration::from_millis(250)).await;
    }
    assert!(statuses.iter().all(|(first, _)| *first == 200), "{statuses:?}");
    assert!(statuses.iter().any(|(_, second)| *second == 429), "{statuses:?}");
    Ok(())
}

#[tokio::test]
async fn clients_are_told_apart_by_address_header_or_identity() -> Result {
    let one = "requests = 1\nper = \"1h\"";
    let (a, b) = ([("x-forwarded-for", "1.1.1.1")], [("x-forwarded-for", "2.2.2.2")]);
    let (six, near) = ([("x-forwarded-for", "2a00::1")], [("x-forwarded-for", "2a00::2")]);
    let (key, other) = ([("x-api-key", "k")], [("x-api-key", "l")]);
    let mut wrong = Wrong::default();
    for (by, steps) in [
        ("address", vec![(&a, 200), (&a, 429), (&b, 200), (&six, 200), (&near, 429)]),
        ("header:X-Api-Key", vec![(&key, 200), (&key, 429), (&other, 200), (&a, 200), (&a, 429), (&b, 200)]),
        // No hook sets an identity.
        ("identity", vec![(&a, 200), (&a, 429), (&b, 200)]),
    ] {
        let app = start(&limit("one", &format!("{one}\nby = \"{by}\""))).await?;
        for (number, (fields, status)) in steps.into_iter().enumerate() {
            let answer = get(&app, "/x", fields).await?;
            check_eq!(wrong, answer.status, status, "{by}: request {number} {fields:?}");
            check!(wrong, status == 200 || !answer.header("retry-after").is_empty(), "{by}: request {number}");
        }
    }
    let hook = "[component.ann]\npath = \"{guest:trace-hook}\"\nsettings = { name = \"ann\", before = \"identify\" }\n\
                [[hook]]\ncomponent = \"ann\"\npriority = 1\n";
    let app = start(&format!("{hook}{}", limit("one", &format!("{one}\nby = \"identity\"")))).await?;
    for (fields, status) in [(&a, 200), (&b, 429)] {
        let answer = get(&app, "/x", fields).await?;
        check_eq!(wrong, answer.status, status, "ann at {fields:?}: {}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_request_counts_for_each_limit_of_its_path() -> Result {
    let limits = limit("all", "requests = 4\nper = \"1h\"") + &limit("x", "path = \"/x\"\nrequests = 2\nper = \"1h\"");
    let app = start(&limits).await?;
    let mut wrong = Wrong::default();
    for (path, status, left) in [
        ("/x", 200, "\"all\";r=3;t=900, \"x\";r=1;t=1800"),
        ("/%78", 200, "\"all\";r=2;t=1800, \"x\";r=0;t=3600"),
        ("/x", 429, ""),
        ("/xx", 200, "\"all\";r=0;t=3600"),
        ("/xx", 429, ""),
    ] {
        let answer = get(&app, path, &[]).await?;
        check_eq!(wrong, answer.status, status, "{path}: {}", answer.text());
        check!(wrong, left.is_empty() || answer.header("ratelimit") == left, "{path}: {}", answer.header("ratelimit"));
    }
    Ok(())
}

#[tokio::test]
async fn mistakes_in_limits_are_reported() -> Result {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        "[[rate_limit]]\nname = \"a b\"\nrequests = 0\nby = \"ip\"\nper = \"0s\"\n[[rate_limit]]\nname = \"x\"\nrequests = \
         1\nby = \"header: \"\n[[rate_limit]]\nname = \"x\"\npath = \"/{id}\"\n[[rate_limit]]\nname = \"y\"\nrequests = 1\nburst = 9000\nper = \"1h\"\n",
        &[],
    )?;
    let ran = carya().arg("check").current_dir(folder.path()).output().await?;
    let messages = String::from_utf8_lossy(&ran.stderr);
    let mut wrong = Wrong::default();
    for expected in [
        "carya.toml:2: rate_limit[0].name: \"a b\" may have letters, digits",
        "carya.toml:3: rate_limit[0].requests: 0 is not a whole number from 1 to 1000000",
        "carya.toml:4: rate_limit[0].by: \"ip\" is neither \"address\" nor \"identity\" nor a header",
        "carya.toml:5: rate_limit[0].per: \"0s\" must be greater than 0",
        "carya.toml:9: rate_limit[1].by: \"header: \" is neither",
        "rate_limit[2].name: \"x\" is the name of rate_limit[1] on line 6",
        "rate_limit[2].path: \"/{id}\" is a prefix and not a pattern",
        "rate_limit[2].requests: is missing",
        "rate_limit[3].per: is too long: an allowance of `burst` requests must be full again after at most 366 days",
    ] {
        check!(wrong, messages.contains(expected), "{expected}: {messages}");
    }
    Ok(())
}
