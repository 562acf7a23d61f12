//! Number of round trips to the server that a request costs, counted by a proxy.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::json;

use super::{harden, insert, serve, serve_with};
use crate::{
    script::{answer, send},
    support::{
        App, Result,
        client::Client,
        eventually,
        proxy::{Fate, Proxy},
        servers::{self, Engine},
    },
};

/// Round trips of a request with one statement: the begin, the statement, and the end of the transaction.
const ONE_STATEMENT: usize = 3;

/// Number of concurrent requests.
const QUEUE: usize = 20;

#[tokio::test]
async fn a_request_of_one_statement_takes_three_round_trips() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let direct = database.primary_url();
        // Creates the tables that `harden` grants access to.
        serve(&direct, "").await?;
        let logins = harden(&direct, &database.name).await?;
        for [writer, reader] in [[&direct, &direct], [&logins[0], &logins[1]]] {
            let (writers, readers) = (Proxy::to(writer).await?, Proxy::to(reader).await?);
            // The host checks its own tables with `admin_url`, which bypasses the proxies.
            let env = [("CARYA_DATABASE__READER_URL", readers.url()), ("CARYA_DATABASE__ADMIN_URL", &direct)];
            let app = serve_with(writers.url(), "", &env).await?;
            let count = || writers.round_trips() + readers.round_trips();
            let key = json!([{ "t": "int64", "v": "1" }]);
            let read = json!([{ "sql": "SELECT id FROM ones WHERE id = ?", "params": key }]);
            let write = json!([{ "sql": "UPDATE ones SET id = id WHERE id = ?", "op": "execute", "params": key }]);
            // A small result in the body of the response needs no cursor once the host has learned its size.
            let rows =
                json!([{ "answer": { "rows": { "sql": "SELECT id AS i FROM ones WHERE id = ?", "params": key } } }]);
            for (method, script) in [("GET", &read), ("POST", &write), ("GET", &rows)] {
                // The first request also connects and prepares its statement, and the host checks the logins after its
                // start. Repeat until a request needs no more than three round trips.
                eventually("three round trips", async || {
                    let before = count();
                    let answer = send(&app, method, script).await?;
                    assert_eq!(answer.status, 200, "{engine} {method} {writer}: {}", answer.text());
                    // The host responds to a read before the transaction has ended.
                    eventually("the end", async || Ok(count() - before >= ONE_STATEMENT)).await?;
                    Ok(count() - before == ONE_STATEMENT)
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// If a request waits for the connection, the end of one transaction and the begin of the next share a message. Either
/// of the two requests may send it.
#[tokio::test]
async fn a_waiter_saves_a_round_trip() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        let read = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
        let write = json!([{ "sql": "UPDATE ones SET id = id WHERE id = 0", "op": "execute" }]);
        let direct = database.primary()?;
        // Servers only accept an isolation level before the first query of a transaction.
        let serializable = "[transaction]\nisolation = \"serializable\"\n";
        for (method, script, config) in [("GET", &read, serializable), ("POST", &write, "")] {
            let app = alone(proxy.url(), &database.primary_url(), config).await?;
            eventually("fewer round trips", async || {
                let before = proxy.round_trips();
                for answer in try_join_all((0..QUEUE).map(|_| send(&app, method, script))).await? {
                    assert_eq!(answer.status, 200, "{engine}: {}", answer.text());
                }
                let taken = proxy.round_trips() - before;
                Ok(2 * taken < (2 * ONE_STATEMENT - 1) * QUEUE)
            })
            .await?;
            let (app, read) = (&app, &read);
            let mixed = (1..=QUEUE as u32).map(|number| async move {
                match number % 4 {
                    0 | 3 => send(app, "GET", read).await,
                    _ => send(app, "POST", &json!([insert("ones", number)])).await,
                }
            });
            for answer in try_join_all(mixed).await? {
                assert_eq!(answer.status, 200, "{engine}: {}", answer.text());
            }
            assert_eq!(direct.number("SELECT count(*) FROM ones").await?, QUEUE as i64 / 2, "{engine}");
            direct.execute("DELETE FROM ones").await?;
            no_open_transaction(engine, &direct).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_begun_for_a_cancelled_waiter_shows_no_old_data() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let (proxy, direct) = (Proxy::to(&database.primary_url()).await?, database.primary()?);
        if engine == Engine::Postgres {
            let level = "SET default_transaction_isolation = 'serializable'";
            direct.execute(&format!("ALTER DATABASE \"{}\" {level}", database.name)).await?;
        }
        let app = alone(proxy.url(), &database.primary_url(), "").await?;
        let count = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
        let write = json!([insert("ones", 1)]);
        proxy.trap("INSERT", Fate::Held);
        let last = async {
            proxy.sprung(1).await?;
            let leaving = async {
                let waiting = "carya_pool_waiting{database=\"default\",pool=\"writers\"}";
                eventually("somebody waits", async || Ok(app.metric(waiting).await? == 1)).await?;
                proxy.trap("COMMIT", Fate::Held);
                proxy.release();
                proxy.sprung(2).await
            };
            tokio::select! {
                answer = send(&app, "POST", &count) => return Err(format!("{engine}: {}", answer?.text()).into()),
                left = leaving => left?,
            }
            app.log.wait_for("the client disconnected").await?;
            proxy.release();
            // The transaction that the host began for the cancelled request is open now, possibly with a snapshot. The
            // last request must nevertheless see the row that is inserted next.
            eventually("the first is committed", async || Ok(direct.number("SELECT count(*) FROM ones").await? == 1))
                .await?;
            direct.execute("INSERT INTO ones VALUES (2)").await?;
            send(&app, "POST", &count).await
        };
        let (first, last) = tokio::try_join!(send(&app, "POST", &write), last)?;
        assert_eq!((first.status, last.status), (200, 200), "{engine}: {}", last.text());
        assert_eq!(last.json()?[0]["row"][0]["v"], "2", "{engine}: {}", last.text());
        no_open_transaction(engine, &direct).await?;
    }
    Ok(())
}

/// A transaction that a read hands over to the next request may have ended meanwhile. The next request detects this and
/// takes another connection.
#[tokio::test]
async fn a_lost_transaction_is_detected_at_its_take_over() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let proxy = Proxy::to(&database.primary_url()).await?;
    let app = alone(proxy.url(), &database.primary_url(), "").await?;
    let read = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
    proxy.trap("ROLLBACK AND CHAIN", Fate::After { message: b"Q\0\0\0\x0dROLLBACK\0", end: b"Z\0\0\0\x05" });
    eventually("somebody takes a transaction over", async || {
        for answer in try_join_all((0..QUEUE).map(|_| send(&app, "GET", &read))).await? {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        Ok(proxy.sprung_so_far() == 1)
    })
    .await
}

/// If the next transaction begins in the same message as the end of the last, that message also resets the session.
#[tokio::test]
async fn a_session_is_reset_between_requests() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let app = alone(&database.primary_url(), &database.primary_url(), "").await?;
    let leave = "CREATE FUNCTION leave() RETURNS text LANGUAGE plpgsql AS $$ DECLARE found text; BEGIN \
         found := coalesce(current_setting('app.left', true), ''); \
         PERFORM set_config('app.left', 'something', false); RETURN found; END $$";
    database.primary()?.execute(leave).await?;
    let leave = json!({ "sql": "SELECT leave()", "op": "query_one" });
    let (keep, undo) = (json!([leave]), json!([leave, answer(500)]));
    let (app, keep, undo) = (&app, &keep, &undo);
    let kinds = [[("POST", keep, 200), ("POST", undo, 500)], [("POST", keep, 200), ("GET", keep, 200)]];
    // In rounds, because each request waits for the only connection for a limited time.
    for kinds in kinds.into_iter().flat_map(|kinds| [kinds; 10]) {
        let all = (0..QUEUE).map(|number| async move {
            let (method, script, status) = kinds[number % 2];
            let answer = send(app, method, script).await?;
            assert_eq!(answer.status, status, "{method}: {}", answer.text());
            assert_eq!(answer.json()?[0]["row"][0]["v"], "", "{method} found what another request has left");
            Result::Ok(())
        });
        try_join_all(all).await?;
    }
    Ok(())
}

/// If a statement ends soon after its client has disconnected, the host rolls back and keeps the connection.
#[tokio::test]
async fn a_disconnected_client_does_not_cost_a_connection() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let (proxy, direct) = (Proxy::to(&database.primary_url()).await?, database.primary()?);
        let app = alone(proxy.url(), &database.primary_url(), "").await?;
        let sessions = match engine {
            Engine::MariaDb => "SELECT id FROM information_schema.processlist WHERE db = DATABASE()",
            _ => "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'carya'",
        };
        let mut watching = direct.connect().await?;
        // On a busy machine the statement may take longer than the host waits for its end, so try several times.
        eventually("a connection is kept", async || {
            assert_eq!(send(&app, "POST", &json!([insert("twos", 1), answer(500)])).await?.status, 500, "{engine}");
            let before = watching.texts(sessions).await?;
            let said = app.log.lines().len();
            // Another text in each attempt, because the text of a prepared statement is not sent again.
            let write = json!([{ "sql": format!("INSERT INTO ones VALUES (1) /* {said} */"), "op": "execute" }]);
            proxy.trap("INSERT", Fate::Held);
            let sprung = proxy.sprung_so_far() + 1;
            tokio::select! {
                answer = send(&app, "POST", &write) => return Err(format!("{engine}: {}", answer?.text()).into()),
                held = proxy.sprung(sprung) => held?,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            proxy.release();
            eventually("it is noticed", async || {
                let lines = app.log.lines();
                let is_told =
                    lines[said..].iter().any(|line| line["message"].to_string().contains("client disconnected"));
                Ok(is_told)
            })
            .await?;
            assert_eq!(direct.number("SELECT count(*) FROM ones").await?, 0, "{engine}: it is rolled back");
            // The host may have opened further connections for its own checks meanwhile.
            let after = watching.texts(sessions).await?;
            Ok(before.iter().all(|session| after.contains(session)))
        })
        .await?;
        no_open_transaction(engine, &direct).await?;
    }
    Ok(())
}

/// Serves the guest `probe` on the two tables with a single connection.
async fn alone(url: &str, admin: &str, config: &str) -> Result<App> {
    let config = format!("{config}[database]\nmax_connections = 1");
    serve_with(url, &config, &[("CARYA_DATABASE__ADMIN_URL", admin), ("CARYA_SERVER__METRICS", "127.0.0.1:0")]).await
}

/// Waits until the application's database has no open transaction.
async fn no_open_transaction(engine: Engine, client: &Client) -> Result {
    let open = match engine {
        Engine::MariaDb => {
            "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
             ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE()"
        }
        _ => {
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        }
    };
    eventually("no open transaction", async || Ok(client.number(open).await? == 0)).await
}
