//! Requests that wait for a connection or a row lock that another request holds.

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;

use super::{assert_unavailable, insert, serve, serve_with, whole, write};
use crate::{
    script::{self, send},
    support::{
        self, App, Response, Result,
        proxy::{Fate, Proxy},
        servers::{self, Engine, on_each_server},
    },
};

/// Asserts that a response is a 503 that does not report a lost connection, and that the log has the reason.
async fn assert_busy(app: &App, answer: &Response, reason: &str) -> Result {
    assert_unavailable(answer, reason);
    assert!(answer.text().contains("The database is busy. Try again."), "{}", answer.text());
    let in_json = reason.replace('"', "\\\"");
    app.log.wait_until(reason, |line| line.to_string().contains(&in_json)).await.map(drop)
}

#[tokio::test]
async fn a_request_without_a_connection_gets_503() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let few = "[database]\nmax_connections = 1\nacquire_timeout = \"700ms\"\nstatement_timeout = \"4s\"";
        let proxy = Proxy::to(&database.primary_url()).await?;
        let app = serve(proxy.url(), few).await?;
        proxy.trap("held", Fate::Held);
        let long = json!([insert("ones", 1), { "sql": "SELECT 1 AS held" }, insert("twos", 1)]);
        let others = async {
            proxy.sprung(1).await?;
            let (write, read) = (write(2), json!([{ "sql": "SELECT id FROM ones" }]));
            let (write, read) = tokio::try_join!(send(&app, "POST", &write), send(&app, "GET", &read))?;
            let reason = "database \"default\" is busy: the connection in its pool stayed in use for 700ms; raise \
                          max_connections or acquire_timeout";
            assert_busy(&app, &write, reason).await?;
            assert_busy(&app, &read, reason).await?;
            // The request also fails if the guest ignores the error.
            let hidden = json!([{ "sql": "SELECT 1", "swallow": true }]);
            assert_unavailable(&send(&app, "POST", &hidden).await?, "no connection, and the guest hides it");
            assert_eq!(send(&app, "POST", &json!([])).await?.status, 200, "{engine}: who needs none is served");
            proxy.release();
            Ok(())
        };
        let (long, ()) = tokio::try_join!(send(&app, "POST", &long), others)?;
        assert_eq!(long.status, 200, "{engine}: {}", long.text());
        assert_eq!(send(&app, "POST", &write(3)).await?.status, 200, "{engine}: it is free again");
        assert_eq!(whole(&database.primary()?).await?, [1, 3], "{engine}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_waits_too_long_for_a_row_gets_503() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let config = "[transaction]\nretries = 0\n[database]\nlock_timeout = \"1s\"";
        let app = serve(&database.primary_url(), config).await?;
        let direct = database.primary()?;
        let mut other = direct.connect().await?;
        other.execute("BEGIN; INSERT INTO twos VALUES (1)").await?;
        assert_unavailable(&send(&app, "POST", &write(1)).await?, "somebody else writes that row");
        other.execute("ROLLBACK").await?;
        assert_eq!(send(&app, "POST", &write(1)).await?.status, 200, "{engine}: it is free again");
        assert_eq!(whole(&direct).await?, [1], "{engine}");
    }
    Ok(())
}

/// SQLite has one connection that writes, with any value of `max_connections`.
#[tokio::test]
async fn a_request_without_the_writing_connection_of_sqlite_gets_503() -> Result {
    let limits = [("CARYA_DATABASE__ACQUIRE_TIMEOUT", "200ms"), ("CARYA_DATABASE__BUSY_TIMEOUT", "30s")];
    let app = script::start_with(Engine::Sqlite, script::ROUTE, &limits).await?;
    let mut other = script::lock(&app).await?;
    let scripts = ["a", "b"].map(|mark| json!([script::insert(mark)]));
    // One request has the connection, and waits for the lock of the file. The other one gets no connection.
    let mut requests: FuturesUnordered<_> = scripts.iter().map(|script| send(&app, "POST", script)).collect();
    let refused = requests.next().await.ok_or("no answer")??;
    let reason = "is busy: the connection in its pool stayed in use for 200ms; raise acquire_timeout";
    assert_busy(&app, &refused, reason).await?;
    other.execute("ROLLBACK").await?;
    let served = requests.next().await.ok_or("no answer")??;
    assert_eq!(served.status, 200, "{}", served.text());
    Ok(())
}

/// The server's own limit is named to requests and commands, and the server is not reported as unreachable.
async fn a_server_that_refuses_further_connections_is_busy(engine: Engine) -> Result {
    let database = servers::shared(engine).await?.ok_or("not installed")?.database().await?;
    let login = database.create_login("few").await?;
    let (name, of) = (&login.name, &database.name);
    let limit = match engine {
        Engine::Postgres => format!("ALTER ROLE {name} CONNECTION LIMIT 1"),
        _ => format!("GRANT SELECT ON {of}.* TO {name}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1"),
    };
    database.primary()?.execute(&limit).await?;
    let proxy = Proxy::to(&login.primary_url).await?;
    let env = [("CARYA_DATABASE__ADMIN_URL", database.primary_url())];
    let env = env.each_ref().map(|(name, url)| (*name, url.as_str()));
    // The pool has room for more, and one connection since the start.
    let app = serve_with(proxy.url(), "", &env).await?;
    proxy.trap("held", Fate::Held);
    let others = async {
        proxy.sprung(1).await?;
        let answer = send(&app, "GET", &json!([{ "sql": "SELECT 2" }])).await?;
        assert_busy(&app, &answer, "is busy and refuses further connections: ").await?;
        let folder = tempfile::tempdir()?;
        support::write(folder.path(), &format!("[database]\nurl = \"{}\"\n", login.primary_url), &[])?;
        let check = support::carya().arg("check").current_dir(folder.path()).output().await?;
        let told = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(told.contains("the server 127.0.0.1:") && told.contains("raise its max_connections"), "{told}");
        proxy.release();
        Ok(())
    };
    let held = json!([{ "sql": "SELECT 1 AS held" }]);
    let (held, ()) = tokio::try_join!(send(&app, "GET", &held), others)?;
    assert_eq!(held.status, 200, "{}", held.text());
    Ok(())
}

on_each_server!(a_server_that_refuses_further_connections_is_busy);
