//! Components that cannot serve requests. `check`, `inspect`, `routes`, `serve` and a reload refuse such a component,
//! all with the same reason, so that no request to it fails with a 500 later.

mod cache;
mod contract;
mod functions;
mod imports;
mod instances;
mod kept;
mod proposals;
mod routes;
mod swap;

use std::path::Path;

use super::support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, write};

const CONFIG: &str = r#"
    [component.it]
    path = "it.wasm"
    timeout = "500ms"
    [[route]]
    path = "/{*what}"
    component = "it"
"#;

/// Returns the standard error of a command, which must fail.
async fn refusal(folder: &Path, args: &[&str]) -> Result<String> {
    let running = carya().args(args).current_dir(folder).env("CARYA_LOG", "off").output();
    let output = tokio::time::timeout(PATIENCE, running).await??;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(1) => Ok(err),
        code => Err(format!("{args:?}: {code:?}: {}{err}", String::from_utf8_lossy(&output.stdout)).into()),
    }
}

/// Asserts that all commands refuse a component with the same message. Returns the reason in that message.
async fn refused(component: &[u8]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    std::fs::write(folder.path().join("it.wasm"), component)?;
    let said = refusal(folder.path(), &["check"]).await?;
    let mut wrong = Wrong::default();
    let (place, reason) = said.split_once("component.it.path: it.wasm: ").ok_or(said.clone())?;
    check!(wrong, place.starts_with("error: carya.toml:"), "{said}");
    for args in [["inspect", "it.wasm"].as_slice(), &["serve"], &["routes"]] {
        // `inspect` reads no configuration, so its limits are the defaults.
        let other = refusal(folder.path(), args).await?;
        let (_, other) = other.split_once("it.wasm: ").ok_or(other.clone())?;
        check_eq!(wrong, other.replace("= 5s", "= 500ms"), reason, "{args:?}");
    }
    Ok(reason.trim_end().to_owned())
}

/// Starts an application with a working component.
async fn serve() -> Result<App> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(super::support::guest("reads-only"), folder.path().join("it.wasm"))?;
    App::start_in(folder, CONFIG, &[], &[]).await
}

/// Reloads a host with another component, which the host must refuse. Returns the logged reason.
async fn reloaded(app: &App, component: &[u8]) -> Result<String> {
    std::fs::write(app.folder.path().join("it.wasm"), component)?;
    app.signal("HUP").await?;
    let line = app.log.wait_for("the old generation stays").await?;
    Ok(line["message"].as_str().unwrap_or_default().to_owned())
}
