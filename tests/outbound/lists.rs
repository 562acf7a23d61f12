//! The lists of host and component, the addresses, and the messages of refusals.

use super::{config, plain, serve};
use crate::support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, upstream::Upstream, write};

#[tokio::test]
async fn a_component_without_a_list_sends_nothing_and_the_log_names_the_missing_lines() -> Result {
    let upstream = Upstream::start().await?;
    let app = App::start(&config("allow_private = true", ""), &[]).await?;
    for size in [0, 300_000] {
        let said = plain(&app, &format!("POST {} body={size}", upstream.url("/ok"))).await?;
        assert_eq!(said, "ErrorCode::HttpRequestDenied", "{size}");
    }
    let line = app.log.wait_for("outbound HTTP was refused").await?;
    let (url, origin) = (upstream.url("/ok"), upstream.url(""));
    let words =
        format!("POST {url}: add \"{origin}\" to `http` of [component.it] and to `allow` of [outbound] of the host");
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.ends_with(&words), "{message}");
    assert_eq!((&line["level"], &line["component"]), (&"WARN".into(), &"it".into()));
    assert!(line["request"].is_string());
    assert!(upstream.lines().is_empty());
    Ok(())
}

#[tokio::test]
async fn only_destinations_of_the_list_receive_requests() -> Result {
    let (upstream, other) = (Upstream::start().await?, Upstream::start().await?);
    let (to, port) = (upstream.url("/hooks/"), upstream.address.port());
    let host = format!("allow = [\"{}\"]\nallow_private = true", upstream.url(""));
    let app = App::start(&config(&host, &format!("http = [\"{to}\"]")), &[]).await?;
    let denied = "ErrorCode::HttpRequestDenied";
    let mut wrong = Wrong::default();
    for (step, expected) in [
        (format!("GET {}", upstream.url("/hooks/a?b=c")), "200 GET"),
        (format!("POST {} body=3", upstream.url("/hooks/")), "200 POST"),
        (format!("GET {}", upstream.url("/other")), denied),
        (format!("GET {}", upstream.url("/hooks/../other")), denied),
        (format!("GET {}", upstream.url("/hooks/%2e%2e/other")), denied),
        (format!("GET {}", other.url("/hooks/")), denied),
        (format!("GET http://localhost:{port}/hooks/"), denied),
        (format!("GET https://127.0.0.1:{port}/hooks/"), denied),
        (format!("GET 127.0.0.1:{port}/hooks/"), denied),
        (format!("GET http://user@127.0.0.1:{port}/hooks/"), denied),
        (format!("GET ftp://127.0.0.1:{port}/hooks/"), denied),
        (format!("GET http://127.0.0.1:{port}@{}/hooks/", other.address), denied),
    ] {
        check_eq!(wrong, plain(&app, &step).await?, expected, "{step}");
    }
    check_eq!(wrong, upstream.lines(), ["GET /hooks/a", "POST /hooks/"], "sent");
    check!(wrong, other.lines().is_empty(), "{:?}", other.lines());
    Ok(())
}

/// Names and literal addresses, without `allow_private`.
#[tokio::test]
async fn addresses_that_are_not_reachable_from_everywhere_are_refused() -> Result {
    let upstream = Upstream::start().await?;
    let port = upstream.address.port();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433"];
    let list = hosts.map(|host| format!("\"http://{host}:{port}\"")).join(", ");
    let app = App::start(&config(&format!("allow = [{list}]"), &format!("http = [{list}]")), &[]).await?;
    let mut wrong = Wrong::default();
    for host in hosts {
        let said = plain(&app, &format!("GET http://{host}:{port}/ok")).await?;
        check_eq!(wrong, said, "ErrorCode::DestinationIpProhibited", "{host}");
    }
    let line = app.log.wait_for("outbound HTTP was refused").await?;
    let message = line["message"].as_str().unwrap_or_default();
    check!(wrong, message.contains("`allow_private` in [outbound]"), "{message}");
    check!(wrong, upstream.lines().is_empty(), "{:?}", upstream.lines());
    Ok(())
}

#[tokio::test]
async fn an_entry_beyond_the_list_of_the_host_is_a_problem_with_both_lines() -> Result {
    let folder = tempfile::tempdir()?;
    let text = config(
        "allow = [\"https://api.example.org\", \"https://*.example.net/hooks/\"]",
        "http = [\"https://api.example.org/v1/\", \"https://a.example.net/\", \"https://a.example.net/hooks/x\", \"nonsense\"]",
    );
    write(folder.path(), &text, &[])?;
    let running = carya().arg("check").current_dir(folder.path()).output();
    let ran = tokio::time::timeout(PATIENCE, running).await??;
    assert_eq!(ran.status.code(), Some(2));
    let told = String::from_utf8(ran.stderr)?;
    assert!(
        told.contains(
            "carya.toml:6: component.it.http[1]: \"https://a.example.net/\" is not allowed by carya.toml:3: \
             outbound.allow; add it there, or remove it here"
        ) && told.contains("component.it.http[3]: \"nonsense\" is not a destination"),
        "{told}"
    );
    assert_eq!(told.matches("carya.toml:6").count(), 2, "{told}");
    Ok(())
}

#[tokio::test]
async fn a_reload_applies_new_lists_to_components_that_have_not_changed() -> Result {
    let upstream = Upstream::start().await?;
    let app = serve(&upstream, "", "").await?;
    let step = format!("GET {}", upstream.url("/ok"));
    assert_eq!(plain(&app, &step).await?, "200 GET");
    write(app.folder.path(), &config("", ""), &[])?;
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(plain(&app, &step).await?, "ErrorCode::HttpRequestDenied");
    Ok(())
}

#[tokio::test]
async fn each_request_is_in_the_trace_the_log_and_the_metrics() -> Result {
    let upstream = Upstream::start().await?;
    let text = config(
        &format!("allow = [\"{}\"]\nallow_private = true", upstream.url("")),
        &format!("http = [\"{}\"]", upstream.url("")),
    );
    let text = format!("server.metrics = \"127.0.0.1:0\"\n{text}");
    let env = [("CARYA_LOG", "info,carya=debug")];
    let app = App::start_in(tempfile::tempdir()?, &text, &[], &env).await?;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let script = format!("GET {}|GET http://10.0.0.1/", upstream.url("/status/404?secret=1"));
    let request = app.request("GET", "/plain").query(&[("it.plain", &script)]);
    let answer = request.header("traceparent", parent).header("tracestate", "a=b").send().await?;
    let timing = answer.headers()["server-timing"].to_str()?.to_owned();
    let found = format!(";desc=\"GET {}: 404\"", upstream.url("/status/404"));
    assert!(timing.contains("outbound;dur=") && timing.contains(&found), "{timing}");
    assert!(
        timing.contains("desc=\"GET http://10.0.0.1/: add http://10.0.0.1 to `http` of [component.it]"),
        "{timing}"
    );
    assert!(!timing.contains("secret"), "{timing}");
    let received = &upstream.received()[0];
    assert_eq!(
        (&received.headers["traceparent"], &received.headers["tracestate"]),
        (&parent.parse()?, &"a=b".parse()?)
    );
    let line = app.log.wait_for("outbound HTTP: GET ").await?;
    assert_eq!((&line["status"], &line["level"], &line["component"]), (&404.into(), &"DEBUG".into(), &"it".into()));
    assert_eq!(app.metric("carya_outbound_requests_total{end=\"4xx\"}").await?, 1);
    assert_eq!(app.metric("carya_outbound_requests_total{end=\"refused\"}").await?, 1);
    Ok(())
}
