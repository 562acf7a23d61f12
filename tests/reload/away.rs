//! A database that is unreachable while a reload needs it.

use super::{CONFIG, FILES, Watched};
use crate::support::{
    Result,
    proxy::Proxy,
    servers::{self, Engine},
};

const TOLD: (&str, &str) = ("CARYA_LOG", "info,carya::watch=debug,carya::access=off,carya::lifecycle=off");

/// Returns a configuration. Another value of `max_rows` makes the reload open the database again.
fn config(max_rows: u32) -> String {
    format!("{CONFIG}\n[database]\nmax_rows = {max_rows}\n")
}

#[tokio::test]
async fn a_failed_reload_is_retried_when_the_database_is_back() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        let env = [("CARYA_DATABASE__URL", proxy.url()), TOLD];
        let mut watched = Watched::start_with(&config(100), &FILES, &env).await?;
        let before = watched.page().await?;
        proxy.set_silent(true);
        watched.put_config(&config(200))?;
        let why = watched.refused().await?;
        assert!(why.contains("CARYA_DATABASE__URL: database.url: cannot be opened"), "{engine}: {why}");
        // Another task logs this line, possibly before the refusal is logged.
        watched.app.log.wait_for("is tried again until it succeeds").await?;
        watched.next("the reload failed once more").await?;
        assert_eq!(watched.page().await?, before, "{engine}: the old one serves on");
        // No file changes from here on.
        proxy.set_silent(false);
        let id = watched.served().await?;
        assert_eq!(watched.page().await?.generation, id, "{engine}");
    }
    Ok(())
}

/// A new change ends the attempts. The host then serves the newest configuration.
#[tokio::test]
async fn a_change_ends_the_attempts() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        let env = [("CARYA_DATABASE__URL", proxy.url()), TOLD];
        let mut watched = Watched::start_with(&config(100), &FILES, &env).await?;
        proxy.set_silent(true);
        watched.put_config(&config(200))?;
        watched.refused().await?;
        watched.put_config("[server\n")?;
        while !watched.refused().await?.contains("is not TOML") {}
        proxy.set_silent(false);
        watched.put_config(&config(300))?;
        let id = watched.served().await?;
        assert_eq!(watched.page().await?.generation, id, "{engine}");
    }
    Ok(())
}
