//! Instances of components that export `incoming-handler`: one for each request, or several requests with `reuse`.

use super::{CONFIG, TABLE, run};
use crate::support::{App, Result};

const COUNT: &str = "head 200|set|count|finish";

async fn start(reuse: &str) -> Result<App> {
    let config = CONFIG.replacen("timeout = \"20s\"", &format!("timeout = \"20s\"\n{reuse}"), 1);
    App::start_in(tempfile::tempdir()?, &config, &[TABLE], &[]).await
}

async fn count(app: &App, script: &str) -> Result<String> {
    Ok(run(app, "GET", "/x", script).await?.text())
}

#[tokio::test]
async fn each_request_has_an_instance_of_its_own() -> Result {
    let app = start("").await?;
    for _ in 0..3 {
        assert_eq!(count(&app, COUNT).await?, "1");
    }
    Ok(())
}

#[tokio::test]
async fn a_reused_instance_serves_until_a_request_fails() -> Result {
    let app = start("reuse = { max_requests = 4 }").await?;
    let mut counts = Vec::new();
    for _ in 0..6 {
        counts.push(count(&app, COUNT).await?);
    }
    assert_eq!(counts, ["1", "2", "3", "4", "1", "2"]);
    // A handle does not outlive its call.
    assert_eq!(count(&app, "sql SELECT 1|head 200|set|count|finish").await?, "3");
    let kept = count(&app, "head 200|set|kept|finish").await?;
    assert_eq!(kept, "the handle is no longer valid: the call that received it has ended");
    for failing in ["head 200|set|write x|leak", "forget", "head 200|set|trap", "head 200|set|fill 20000000"] {
        assert_eq!(count(&app, COUNT).await?, "1", "before {failing}");
        assert_eq!(run(&app, "GET", "/x", failing).await?.status, 500, "{failing}");
    }
    // An error that the guest sets is a complete answer.
    assert_eq!(count(&app, COUNT).await?, "1");
    assert_eq!(run(&app, "GET", "/x", "error x").await?.status, 500);
    assert_eq!(count(&app, COUNT).await?, "3");
    Ok(())
}

#[tokio::test]
async fn resources_that_a_guest_does_not_drop_end_its_instance() -> Result {
    let app = start("reuse = { max_requests = 10 }").await?;
    assert_eq!(count(&app, &format!("gets 100|{COUNT}")).await?, "1");
    assert_eq!(count(&app, &format!("gets 600|{COUNT}")).await?, "2");
    assert_eq!(count(&app, COUNT).await?, "1", "the instance was dropped");
    assert_eq!(run(&app, "GET", "/x", &format!("gets 2000|{COUNT}")).await?.status, 500);
    Ok(())
}
