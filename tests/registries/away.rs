//! Registries that are unreachable for a while.

use serde_json::Value;

use super::{TYPE, config};
use crate::support::{App, Result, module, registry::Registry};

/// Serves a component of a registry, with a log filter that includes every poll of its tag.
async fn start(registry: &Registry, more: &str) -> Result<App> {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("cache").display().to_string();
    let env = [("CARYA_SERVER__CACHE", cache.as_str()), ("CARYA_LOG", "info,carya::watch=debug")];
    App::start_in(folder, &format!("{}{more}", config(&format!("oci://{}/echo:1", registry.host))), &[], &env).await
}

fn times(app: &App, text: &str) -> usize {
    let says = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(text));
    app.log.lines().iter().filter(|line| says(line)).count()
}

#[tokio::test]
async fn an_unreachable_registry_is_logged_once() -> Result {
    let Some(mut registry) = Registry::start().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let app = start(&registry, "[reload]\npoll = \"50ms\"\n").await?;
    registry.stop().await?;
    app.log.wait_for("its tag cannot be resolved").await?;
    app.log.wait_for("its tag still cannot be resolved").await?;
    assert_eq!(app.get("/x").await?.text(), "one /x");
    registry.start_again().await?;
    app.log.wait_for("its registry can be reached again").await?;
    registry.push("echo", "1", TYPE, &module::echo("two ")?).await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(app.get("/x").await?.text(), "two /x");
    assert_eq!(times(&app, "its tag cannot be resolved"), 1);
    Ok(())
}

/// If an explicit reload fails, the host repeats it until it succeeds, even if the host does not poll tags.
#[tokio::test]
async fn a_failed_reload_is_retried_when_the_registry_is_back() -> Result {
    let Some(mut registry) = Registry::start().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let app = start(&registry, "").await?;
    registry.push("echo", "1", TYPE, &module::echo("two ")?).await?;
    registry.stop().await?;
    app.signal("HUP").await?;
    app.log.wait_for("the old generation stays").await?;
    app.log.wait_for("is tried again until it succeeds").await?;
    app.log.wait_for("the reload failed once more").await?;
    assert_eq!(app.get("/x").await?.text(), "one /x");
    registry.start_again().await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(app.get("/x").await?.text(), "two /x");
    assert_eq!(times(&app, "the old generation stays"), 1, "the same again is no news");
    Ok(())
}
