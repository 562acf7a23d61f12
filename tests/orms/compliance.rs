//! SQLAlchemy's compliance suite with the dialects of `carya_guest`, through the guest `probe`: `guest/python/compliance`.

use std::path::Path;

use tokio::process::Command;

use crate::support::{App, Engine, Result};

const CONFIG: &str = r#"
    [server]
    max_body = "16MiB" # a request repeats all statements of a transaction
    [database]
    statement_timeout = "20s"
    [component.probe]
    path = "{guest:probe}"
    timeout = "60s"
    [[route]]
    path = "/"
    component = "probe"
"#;

/// Runs the suite. The script knows the failures and the least number of passed tests.
async fn run(engine: Engine) -> Result {
    if !engine.is_installed() {
        return Ok(());
    }
    let app = App::start_on(engine, CONFIG, &[]).await?;
    let file = || format!("sqlite://{}", app.folder.path().join("app.sqlite").display());
    let owner = app.database_url.clone().unwrap_or_else(file);
    if engine == Engine::Postgres {
        // Some tests of the suite need a second schema, and do not depend on its requirement for one.
        app.execute("CREATE SCHEMA test_schema").await?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/python/compliance/run.sh");
    let output = Command::new(script)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guest-tools"))
        .arg(engine.dialect())
        .env("CARYA_URL", format!("http://{}/", app.address()))
        .env("CARYA_OWNER", owner)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn sqlalchemy_passes_its_suite_on_sqlite() -> Result {
    run(Engine::Sqlite).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn sqlalchemy_passes_its_suite_on_postgres() -> Result {
    run(Engine::Postgres).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn sqlalchemy_passes_its_suite_on_mariadb() -> Result {
    run(Engine::MariaDb).await
}
