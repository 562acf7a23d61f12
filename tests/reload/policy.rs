//! `[reload]`: changes of the database that a reload may make without an operator.

use super::{CONFIG, FILES, Watched};
use crate::support::{PATIENCE, Result, carya, guest};

const MORE: &str = "CREATE TABLE more (x INTEGER)";

#[tokio::test]
async fn pending_migrations_refuse_a_reload_without_migrate() -> Result {
    let config = format!("{CONFIG}\n[reload]\nmigrate = false\n");
    let mut watched = Watched::start_with(&config, &FILES, &[]).await?;
    watched.put("migrations/0002_more.sql", MORE)?;
    let why = watched.refused().await?;
    assert!(why.contains("forbids running them: 0002_more; run `carya migrate`, then reload"), "{why}");
    assert_eq!(watched.app.number("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").await?, 0);

    let migrating =
        carya().arg("migrate").current_dir(watched.path()).env("CARYA_DATABASE__URL", "sqlite://app.sqlite").output();
    assert!(tokio::time::timeout(PATIENCE, migrating).await??.status.success());
    watched.app.signal("HUP").await?;
    watched.served().await?;
    assert_eq!(watched.app.number("SELECT count(*) FROM more").await?, 0);
    Ok(())
}

/// The configuration of the served generation applies: a new generation cannot lift its own restriction.
#[tokio::test]
async fn the_served_generation_decides_about_the_next() -> Result {
    let config = format!("{CONFIG}\n[reload]\nmigrate = false\n");
    let mut watched = Watched::start_with(&config, &FILES, &[]).await?;
    std::fs::write(watched.path().join("migrations/0002_more.sql"), MORE)?;
    watched.put_config(CONFIG)?;
    while !watched.refused().await?.contains("migrations are pending") {}
    Ok(())
}

#[tokio::test]
async fn a_reload_without_init_does_not_run_the_model() -> Result {
    // The `init` of this model fails. If the host ran it, the host would refuse the reload.
    let model = guest("shop-model").display().to_string();
    let to = format!("[component.model]\npath = \"{model}\"\n[model]\ncomponent = \"model\"");
    let with_model = CONFIG.replace("[model]", &to);
    let mut watched = Watched::start_with(&format!("{CONFIG}\n[reload]\ninit = false\n"), &FILES, &[]).await?;
    watched.put_config(&format!("{with_model}\n[reload]\ninit = false\n"))?;
    watched.served().await?;
    Ok(())
}
