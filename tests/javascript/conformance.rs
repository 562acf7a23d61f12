//! The cases of drizzle and kysely in `guest/javascript/conformance`: in a guest and in Node.js, with equal outcomes.

use std::{fs, path::Path};

use tokio::process::Command;

use super::{orms::build, package};
use crate::support::{App, Engine, Result};

/// Runs the cases on one engine of databases, on both engines of JavaScript. The script knows the differences.
async fn run(engine: Engine) -> Result {
    if !engine.is_installed() || !package::has_node().await? {
        return Ok(());
    }
    let dialect = engine.dialect();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/javascript/conformance");
    let tables = fs::read_to_string(cases.join("tables").join(dialect).with_extension("sql"))?;
    let folder = tempfile::tempdir()?;
    for script_engine in ["quickjs", "starlingmonkey"] {
        let component = build(folder.path(), "guest/javascript/conformance/guest.js", script_engine).await?;
        let config = format!(
            r#"
            [model]
            migrations = "migrations"
            [component.cases]
            path = "{}"
            timeout = "60s" # a fresh instance needs seconds on a machine under load
            [[route]]
            path = "/drizzle"
            component = "cases"
            [[route]]
            path = "/kysely"
            component = "cases"
            [[route]]
            path = "/reset"
            component = "cases"
            "#,
            component.display()
        );
        let app = App::start_on(engine, &config, &[("migrations/0001_tables.sql", &tables)]).await?;
        let output = Command::new("node")
            .arg(cases.join("run.mjs"))
            .args([dialect, script_engine])
            .env("CARYA_URL", format!("http://{}", app.address()))
            .env("DATABASE_URL", app.database_url.as_deref().unwrap_or_default())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[tokio::test]
#[ignore = "builds and compiles two components"]
async fn cases_have_equal_outcomes_on_sqlite() -> Result {
    run(Engine::Sqlite).await
}

#[tokio::test]
#[ignore = "builds and compiles two components"]
async fn cases_have_equal_outcomes_on_postgres() -> Result {
    run(Engine::Postgres).await
}

#[tokio::test]
#[ignore = "builds and compiles two components"]
async fn cases_have_equal_outcomes_on_mariadb() -> Result {
    run(Engine::MariaDb).await
}
