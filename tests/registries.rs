//! Components that the host pulls from a real OCI registry.

mod away;
mod follow;
mod kept;
mod lies;
mod tls;
mod tokens;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::support::{App, PATIENCE, Result, Wrong, carya, check, module, registry::Registry, write};

const TYPE: &str = "application/wasm";

/// Returns an application with one component, given by its reference.
fn config(reference: &str) -> String {
    format!(
        "[component.echo]\npath = \"{reference}\"\n\
         [[route]]\npath = \"/{{*what}}\"\ncomponent = \"echo\"\ntransaction = \"none\"\n"
    )
}

/// Serves an application with a cache of its own, in a subfolder of `folder`.
async fn serve(folder: TempDir, config: &str) -> Result<App> {
    let cache = folder.path().join("cache").display().to_string();
    App::start_in(folder, config, &[], &[("CARYA_SERVER__CACHE", &cache)]).await
}

fn pulled(app: &App) -> usize {
    app.log.lines().iter().filter(|line| line["message"] == "pulled").count()
}

/// Triggers a reload. Waits for a message in the lines that are logged after that, and returns it.
async fn reload(app: &App, message: &str) -> Result<String> {
    let before = app.log.lines().len();
    app.signal("HUP").await?;
    let has = |line: &serde_json::Value| line["message"].as_str().is_some_and(|text| text.contains(message));
    app.log.wait_until(message, |_| app.log.lines().iter().skip(before).any(has)).await?;
    let line = app.log.lines().into_iter().skip(before).find(has).unwrap_or_default();
    Ok(line["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_tag_is_followed_at_each_reload() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    registry.push("shop/echo", "1", TYPE, &module::echo("one ")?).await?;
    let reference = format!("oci://{}/shop/echo:1", registry.host);
    let app = serve(tempfile::tempdir()?, &config(&reference)).await?;
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("one /x".to_owned(), 1));

    reload(&app, "a new generation is served").await?;
    assert_eq!(pulled(&app), 1, "the tag means what it did");
    registry.push("shop/echo", "1", TYPE, &module::echo("two ")?).await?;
    reload(&app, "a new generation is served").await?;
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("two /x".to_owned(), 2));

    drop(registry);
    let error = reload(&app, "the old generation stays").await?;
    assert!(error.contains(&format!("component.echo.path: {reference} cannot be pulled: ")), "{error}");
    assert_eq!(app.get("/x").await?.text(), "two /x");
    Ok(())
}

#[tokio::test]
async fn a_digest_is_pulled_once_and_checked_each_time() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    let digest = registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    registry.push("echo", "1", TYPE, &module::echo("two ")?).await?;
    let config = config(&format!("oci://{}/echo@{digest}", registry.host));
    let app = serve(tempfile::tempdir()?, &config).await?;
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("one /x".to_owned(), 1));

    // The host checks the digest of a cached file, and pulls the component again if it differs.
    let (folder, _) = app.stop().await?;
    let kept = fs::read_dir(folder.path().join("cache/oci"))?.flatten().map(|entry| entry.path());
    let kept: Vec<PathBuf> =
        kept.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    fs::write(&kept[0], module::echo("three ")?)?;
    let app = serve(folder, &config).await?;
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("one /x".to_owned(), 1));

    drop(registry);
    let (folder, _) = app.stop().await?;
    let app = serve(folder, &config).await?;
    assert_eq!((app.get("/x").await?.text(), pulled(&app)), ("one /x".to_owned(), 0), "nobody was asked");
    Ok(())
}

/// Runs `carya check` for a reference, with more configuration. Returns the exit code and standard error.
async fn check(reference: &str, more: &str) -> Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), &format!("{}{more}", config(reference)), &[])?;
    let mut command = carya();
    command.arg("check").current_dir(folder.path()).env("CARYA_LOG", "off");
    command.env("CARYA_SERVER__CACHE", folder.path().join("cache"));
    // No proxy listens there: the host must not use a proxy for a registry on this machine.
    command.envs(["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, "http://127.0.0.1:1"))).env("NO_PROXY", "");
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[tokio::test]
async fn a_registry_can_require_a_login() -> Result {
    let Some(registry) = Registry::start_for_ann().await? else { return Ok(()) };
    registry.push("echo", "1", TYPE, &module::echo("one ")?).await?;
    let reference = format!("oci://{}/echo:1", registry.host);
    let login = |password| format!("[registry.\"{}\"]\nusername = \"ann\"\npassword = \"{password}\"\n", registry.host);
    let mut wrong = Wrong::default();
    for more in [String::new(), login("pecan")] {
        let (code, error) = check(&reference, &more).await?;
        let start = format!("component.echo.path: {reference} cannot be pulled: ");
        let end = format!("; set username and password in [registry.\"{}\"]", registry.host);
        check!(
            wrong,
            error.starts_with("error: carya.toml:") && error.contains(&start) && error.trim_end().ends_with(&end),
            "{more:?}: {error}"
        );
        check!(wrong, code == Some(1) && !error.contains("pecan"), "{more:?}: {error}");
    }
    assert_eq!(check(&reference, &login("hickory")).await?, (Some(0), String::new()));
    let half = format!("[registry.\"{}\"]\nusername = \"ann\"\n", registry.host);
    let (code, error) = check(&reference, &half).await?;
    assert!(code == Some(2) && error.contains("password: is missing"), "{error}");
    Ok(())
}

#[tokio::test]
async fn reports_the_reference_of_an_invalid_component() -> Result {
    let Some(registry) = Registry::start().await? else { return Ok(()) };
    registry.push("layer", "1", "application/vnd.oci.image.layer.v1.tar", b"tar").await?;
    registry.push("text", "1", TYPE, b"not wasm").await?;
    let mut wrong = Wrong::default();
    for (image, words) in [
        ("layer:1", "cannot be pulled: it has no layer of the type application/wasm, but [\"application/vnd.oci"),
        ("text:1", "this is not a WebAssembly file"),
        ("text:2", "cannot be pulled: "),
    ] {
        let reference = format!("oci://{}/{image}", registry.host);
        let (code, error) = check(&reference, "").await?;
        check!(wrong, code == Some(1) && error.contains(&reference) && error.contains(words), "{image}: {error}");
    }
    Ok(())
}
