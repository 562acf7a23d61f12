//! `/livez`, `/readyz`, the delay before the listener closes, and the notifications of a service manager.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::{
    script::{self, ROUTE, send, start_with},
    support::{
        App, Engine, Log, PATIENCE, Result, Wrong, carya, check, check_eq, eventually,
        proxy::{Fate, Proxy},
        servers, write,
    },
};

const METRICS: (&str, &str) = ("CARYA_SERVER__METRICS", "127.0.0.1:0");

/// Returns the status and the body of a path on the metrics listener.
async fn get(log: &Log, path: &str) -> Result<(u16, Json)> {
    let line = log.wait_for("metrics").await?;
    let address = line["address"].as_str().ok_or("no address")?;
    let answer = reqwest::get(format!("http://{address}{path}")).await?;
    assert_eq!(
        (&answer.headers()["content-type"], &answer.headers()["cache-control"]),
        (&"application/json".parse()?, &"no-store".parse()?)
    );
    Ok((answer.status().as_u16(), answer.json().await?))
}

/// Returns the names of the checks that `/readyz` reports as the reasons of a 503.
fn failed(body: &Json) -> Vec<&str> {
    body["reasons"].as_array().into_iter().flatten().filter_map(|reason| reason["check"].as_str()).collect()
}

#[tokio::test]
async fn a_host_that_serves_is_live_and_ready() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[METRICS]).await?;
    assert_eq!(get(&app.log, "/livez").await?, (200, json!({ "status": "live", "reasons": [] })));
    let generation = app.get("/x").await?.header("x-carya-generation").to_owned();
    let expected = json!({ "status": "ready", "generation": generation, "reasons": [] });
    assert_eq!(get(&app.log, "/readyz").await?, (200, expected));
    Ok(())
}

#[tokio::test]
async fn the_listener_of_the_application_has_the_paths_only_if_configured() -> Result {
    let app = start_with(Engine::Sqlite, "", &[]).await?;
    let public = start_with(Engine::Sqlite, "", &[("CARYA_SERVER__PUBLIC_HEALTH", "true")]).await?;
    let mut wrong = Wrong::default();
    for (path, status) in [("/livez", "live"), ("/readyz", "ready")] {
        check_eq!(wrong, app.get(path).await?.status, 404, "{path}");
        let answer = public.get(path).await?;
        let found = (answer.status, answer.json()?);
        check_eq!(wrong, found, (200, json!({ "status": status, "reasons": [] })), "{path}: no generation");
        let head = public.call("HEAD", path).await?;
        check_eq!(wrong, (head.status, head.body.len()), (200, 0), "HEAD {path}");
        let post = public.call("POST", path).await?;
        check_eq!(wrong, (post.status, post.header("allow")), (405, "GET, HEAD"), "POST {path}");
    }
    check_eq!(wrong, public.get("/readyz/x").await?.status, 404, "a path below");
    Ok(())
}

#[tokio::test]
async fn a_host_is_not_ready_before_it_serves() -> Result {
    let folder = tempfile::tempdir()?;
    let config = "[database]\nurl = \"sqlite://app.sqlite\"\n[component.js]\npath = \"{guest:items-qjs}\"\n\
                  [[route]]\npath = \"/items\"\ncomponent = \"js\"\nmethods = [\"GET\"]\n";
    write(folder.path(), config, &[])?;
    // Without a cache the component takes seconds to compile.
    let mut process = carya()
        .args(["--log-format", "json", "serve"])
        .current_dir(folder.path())
        .env("CARYA_SERVER__CACHE", "code")
        .env(METRICS.0, METRICS.1)
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let log = Log::follow(process.stderr.take().ok_or("no standard error")?);
    log.wait_for("compiling a component").await?;
    assert_eq!(get(&log, "/livez").await?.0, 200);
    let (status, body) = get(&log, "/readyz").await?;
    assert_eq!((status, failed(&body)), (503, vec!["generation"]), "{body}");
    assert_eq!(body["reasons"][0]["detail"], "no generation is served yet");
    log.wait_until("serving", |line| line["message"] == "serving").await?;
    assert_eq!(get(&log, "/readyz").await?.0, 200);
    process.kill().await?;
    Ok(())
}

#[tokio::test]
async fn a_database_that_does_not_answer_makes_the_host_unready() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        let env = [("CARYA_DATABASE__URL", proxy.url()), METRICS];
        let app = start_with(engine, ROUTE, &env).await?;
        assert_eq!(get(&app.log, "/readyz").await?.0, 200, "{engine}");

        proxy.set_silent(true);
        eventually("it is not ready", async || Ok(get(&app.log, "/readyz").await?.0 == 503)).await?;
        let (_, body) = get(&app.log, "/readyz").await?;
        assert_eq!(failed(&body), ["database default"], "{engine}: {body}");
        assert!(body["reasons"][0]["detail"].is_string(), "{engine}: {body}");
        assert_eq!(get(&app.log, "/livez").await?.0, 200, "{engine}: a restart would not help");

        proxy.set_silent(false);
        eventually("it is ready again", async || Ok(get(&app.log, "/readyz").await?.0 == 200)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_host_with_a_busy_pool_stays_ready() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        let env = [("CARYA_DATABASE__URL", proxy.url()), METRICS];
        let config = format!("{ROUTE}[database]\nmax_connections = 1\nstatement_timeout = \"20s\"");
        let app = start_with(engine, &config, &env).await?;
        proxy.trap("held", Fate::Held);
        let long = json!([script::insert("a"), { "sql": "SELECT 1 AS held" }]);
        let probing = async {
            proxy.sprung(1).await?;
            let found = get(&app.log, "/readyz").await?;
            proxy.release();
            assert_eq!(found.0, 200, "{engine}: {found:?}");
            Ok(())
        };
        let (long, ()) = tokio::try_join!(send(&app, "POST", &long), probing)?;
        assert_eq!(long.status, 200, "{engine}: {}", long.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_shutdown_is_announced_before_the_listener_closes() -> Result {
    let env = [METRICS, ("CARYA_SERVER__DRAIN_DELAY", "2s")];
    let app = start_with(Engine::Sqlite, ROUTE, &env).await?;
    let asked = std::time::Instant::now();
    app.signal("TERM").await?;
    app.log.wait_for("the listener closes after drain_delay").await?;
    let (status, body) = get(&app.log, "/readyz").await?;
    assert_eq!((status, failed(&body)), (503, vec!["shutdown"]), "{body}");
    assert_eq!(get(&app.log, "/livez").await?.0, 200);
    // A connection of its own: the listener is still open.
    let answer = reqwest::get(format!("http://{}/x", app.address())).await?;
    assert_eq!(answer.status(), 200, "requests are served during the delay");
    app.log.wait_for("stopped").await?;
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_the_delay() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[("CARYA_SERVER__DRAIN_DELAY", "10m")]).await?;
    app.signal("TERM").await?;
    app.log.wait_for("the listener closes after drain_delay").await?;
    let (_, code) = app.stop().await?;
    assert_eq!(code, Some(0));
    Ok(())
}

/// Receives the notifications of a process until one contains `text`. Returns all of them.
async fn notified(socket: UnixDatagram, text: &'static str) -> Result<(UnixDatagram, String)> {
    tokio::task::spawn_blocking(move || {
        socket.set_read_timeout(Some(PATIENCE))?;
        let (mut all, mut message) = (String::new(), [0; 4096]);
        while !all.contains(text) {
            let length = socket.recv(&mut message).map_err(|error| format!("no {text}: {error}: {all}"))?;
            all.push_str(&String::from_utf8_lossy(&message[..length]));
        }
        Ok((socket, all))
    })
    .await?
}

#[tokio::test]
async fn the_service_manager_is_notified() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    let env = [
        ("NOTIFY_SOCKET", path.to_str().ok_or("no text")?),
        ("WATCHDOG_USEC", "100000"),
        ("CARYA_SERVER__DRAIN_DELAY", "1s"),
    ];
    let app = start_with(Engine::Sqlite, ROUTE, &env).await?;
    let (socket, begun) = notified(socket, "READY=1").await?;
    assert!(!begun.contains("STOPPING"), "{begun}");
    let (socket, lived) = notified(socket, "WATCHDOG=1").await?;
    assert!(!lived.contains("RELOADING"), "{lived}");

    app.signal("HUP").await?;
    let (socket, reloading) = notified(socket, "RELOADING=1\nMONOTONIC_USEC=").await?;
    assert!(!reloading.contains("STOPPING"), "{reloading}");
    let (socket, reloaded) = notified(socket, "READY=1").await?;
    assert!(reloaded.contains("STATUS=serving generation "), "{reloaded}");

    app.signal("TERM").await?;
    let (socket, _) = notified(socket, "STOPPING=1").await?;
    // The watchdog would otherwise end a process that drains for a long time.
    notified(socket, "WATCHDOG=1").await?;
    assert_eq!(app.stop().await?.1, Some(0));
    Ok(())
}

#[tokio::test]
async fn the_service_manager_is_notified_of_every_reload_on_an_abstract_socket() -> Result {
    let name = format!("carya-test-{}-{:?}", std::process::id(), std::time::Instant::now());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    let config = format!("{}\n", crate::script::config());
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    let env = [("NOTIFY_SOCKET", format!("@{name}"))];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let app = App::run_in(tempfile::tempdir()?, &["serve", "--watch"], &config, &[table], &env).await?;
    let (socket, begun) = notified(socket, "READY=1").await?;
    assert!(!begun.contains("RELOADING"), "{begun}");
    let config = std::fs::read_to_string(app.folder.path().join("carya.toml"))?;
    let mut socket = socket;
    for (text, line) in [("# changed", "a new generation is served"), ("nonsense", "the old generation stays")] {
        let mut seen = app.log.lines().len();
        std::fs::write(app.folder.path().join("carya.toml"), format!("{config}{text}\n"))?;
        app.log.next(&mut seen, &[line]).await?;
        let (same, reloading) = notified(socket, "RELOADING=1\nMONOTONIC_USEC=").await?;
        let (same, reloaded) =
            if reloading.contains("READY=1") { (same, reloading) } else { notified(same, "READY=1").await? };
        assert!(reloaded.contains("STATUS=serving generation "), "{text}: {reloaded}");
        socket = same;
    }
    assert!(app.log.lines().iter().all(|line| line["message"] != "the service manager was not notified"));
    Ok(())
}

#[tokio::test]
async fn a_service_manager_that_does_not_listen_does_not_matter() -> Result {
    let app = start_with(Engine::Sqlite, ROUTE, &[("NOTIFY_SOCKET", "/nowhere/notify")]).await?;
    app.log.wait_for("the service manager was not notified").await?;
    assert_eq!(app.get("/x").await?.status, 200);
    assert_eq!(app.stop().await?.1, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_route_that_the_host_would_hide_is_refused() -> Result {
    let text = "[server]\npublic_health = true\n[component.a]\npath = \"a\"\n[[route]]\npath = \"/readyz\"\ncomponent = \"a\"\ntransaction = \"none\"";
    let found = carya::config::parse(text, Path::new("carya.toml"), &Default::default());
    let found = found.expect_err("the route is hidden").to_string();
    let expected = "carya.toml:5: route[0].path: /readyz is answered by the host, because server.public_health is true; \
                    use another path, or set server.public_health to false";
    let mut wrong = Wrong::default();
    check!(wrong, found.contains(expected), "{found}");
    let private = text.replace("true", "false");
    check!(wrong, carya::config::parse(&private, Path::new("carya.toml"), &Default::default()).is_ok(), "{private}");
    Ok(())
}
