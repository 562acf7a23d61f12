//! Instances that serve several requests, if `reuse` of their component is set: the state that they keep, the
//! handles that become invalid after each request, and the events that end an instance.

use std::time::Duration;

use super::support::{App, Result};

const CONFIG: &str = r#"
    [component.faulty]
    path = "{guest:faulty}"
    timeout = "2s"
    reuse = { max_requests = 4 }
    [component.fresh]
    path = "{guest:faulty}"
    [component.keeper]
    path = "{guest:keeper}"
    reuse = { max_requests = 4 }
    [[route]]
    path = "/plain/{what}"
    component = "faulty"
    transaction = "none"
    [[route]]
    path = "/fresh/{what}"
    component = "fresh"
    [[route]]
    path = "/{what}"
    component = "faulty"
    [[route]]
    path = "/hooked/{what}"
    component = "fresh"
    hooks = ["keeper"]
"#;

async fn app() -> Result<App> {
    App::start(CONFIG, &[]).await
}

/// Sends a request. Returns the number of requests that its instance has served, including this one.
async fn count(app: &App) -> Result<String> {
    Ok(app.get("/count").await?.text())
}

async fn counts<const N: usize>(app: &App) -> Result<[String; N]> {
    let mut counts = [const { String::new() }; N];
    for count in &mut counts {
        *count = self::count(app).await?;
    }
    Ok(counts)
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_it_may() -> Result {
    let app = app().await?;
    assert_eq!(counts(&app).await?, ["1", "2", "3", "4", "1", "2"]);
    for path in ["/fresh/count", "/fresh/count"] {
        assert_eq!(app.get(path).await?.text(), "1", "without `reuse`");
    }
    assert_eq!(app.post("/count", "").await?.text(), "3", "whatever the access mode");
    assert_eq!(app.get("/plain/count").await?.text(), "4");
    Ok(())
}

#[tokio::test]
async fn an_instance_that_fails_serves_no_more() -> Result {
    let app = app().await?;
    for (what, status) in
        [("panic", 500), ("exit", 500), ("memory", 500), ("recursion", 500), ("spin", 504), ("sleep", 504)]
    {
        assert_eq!(counts(&app).await?, ["1", "2"], "before {what}");
        assert_eq!(app.get(&format!("/{what}")).await?.status, status, "{what}");
    }
    // An error is a normal result of a guest, and does not end the instance.
    assert_eq!(count(&app).await?, "1");
    assert_eq!(app.get("/error").await?.status, 500);
    assert_eq!(count(&app).await?, "2");
    Ok(())
}

#[tokio::test]
async fn an_instance_of_a_disconnected_client_serves_no_more() -> Result {
    let app = app().await?;
    assert_eq!(count(&app).await?, "1");
    let gone = app.request("GET", "/sleep?ms=60000").timeout(Duration::from_millis(300)).send().await;
    assert!(gone.is_err_and(|error| error.is_timeout()));
    app.log.wait_until("the end of the request", |line| line["path"] == "/sleep").await?;
    assert_eq!(counts(&app).await?, ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn two_requests_at_a_time_are_two_instances() -> Result {
    let app = app().await?;
    let (slow, quick) = tokio::join!(app.get("/sleep?ms=1000"), app.get("/count"));
    assert_eq!((slow?.status, quick?.text().as_str()), (200, "1"));
    Ok(())
}

#[tokio::test]
async fn a_handle_is_dead_for_the_next_request() -> Result {
    let app = app().await?;
    assert_eq!(app.get("/keep").await?.status, 200);
    let answer = app.get("/kept").await?;
    assert_eq!(answer.text(), "the handle is no longer valid: the call that received it has ended");
    Ok(())
}

#[tokio::test]
async fn output_belongs_to_the_running_request() -> Result {
    let app = app().await?;
    let mut seen = 0;
    let fresh = "/fresh/print";
    for (path, id) in [("/print", "first"), ("/print", "second"), (fresh, "third"), (fresh, "fourth"), (fresh, "fifth")]
    {
        let answer = app.request("GET", path).header("x-request-id", id).send().await?;
        assert_eq!(answer.status(), 200);
        for text in ["to stdout", "to stderr", "to the log"] {
            assert_eq!(app.log.next(&mut seen, &[text]).await?["request"], id, "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_is_one_instance_from_its_first_phase_to_its_last() -> Result {
    let app = app().await?;
    for _ in 0..6 {
        assert_eq!(app.get("/hooked/count").await?.header("x-kept"), "lost", "it knows what `before` has kept");
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_starts_with_fresh_instances() -> Result {
    let app = app().await?;
    assert_eq!(counts(&app).await?, ["1", "2"]);
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(count(&app).await?, "1");
    Ok(())
}

#[tokio::test]
async fn requests_share_no_instance_without_reuse() -> Result {
    let app = app().await?;
    for round in 0..20 {
        let counts = futures_util::future::join_all((0..24).map(|_| app.get("/fresh/count"))).await;
        for answer in counts {
            assert_eq!(answer?.text(), "1", "round {round}");
        }
    }
    Ok(())
}
