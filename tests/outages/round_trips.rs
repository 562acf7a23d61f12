//! What a request costs in round trips to its server, counted on the way.

use futures_util::future::try_join_all;
use serde_json::json;

use super::{eventually, harden, insert, serve, serve_with};
use crate::{
    script::send,
    support::{
        Result,
        proxy::Proxy,
        servers::{self, Engine},
    },
};

/// Begin, the statement, the end.
const ONE_STATEMENT: usize = 3;

/// Requests at the same time.
const QUEUE: usize = 20;

#[tokio::test]
async fn a_request_of_one_statement_takes_three_round_trips() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let direct = database.primary_url();
        // The tables, for the logins to be allowed to use.
        serve(&direct, "").await?;
        let logins = harden(&direct, &database.name).await?;
        for [writer, reader] in [[&direct, &direct], [&logins[0], &logins[1]]] {
            let (writers, readers) = (Proxy::to(writer).await?, Proxy::to(reader).await?);
            // The host's own looks at its tables go another way.
            let env = [("CARYA_DATABASE__READER_URL", readers.url()), ("CARYA_DATABASE__ADMIN_URL", &direct)];
            let app = serve_with(writers.url(), "", &env).await?;
            let count = || writers.round_trips() + readers.round_trips();
            let key = json!([{ "t": "int64", "v": "1" }]);
            let read = json!([{ "sql": "SELECT id FROM ones WHERE id = ?", "params": key }]);
            let write = json!([{ "sql": "UPDATE ones SET id = id WHERE id = ?", "op": "execute", "params": key }]);
            for (method, script) in [("GET", &read), ("POST", &write)] {
                // The first has to connect and to prepare its statement; after its start the host looks at the logins.
                eventually("three round trips", async || {
                    let before = count();
                    let answer = send(&app, method, script).await?;
                    assert_eq!(answer.status, 200, "{engine} {method} {writer}: {}", answer.text());
                    // The end of what was only read is not waited for.
                    let taken = eventually("the end", async || {
                        let taken = count() - before;
                        Ok((taken >= ONE_STATEMENT).then_some(taken))
                    });
                    let taken = taken.await?;
                    Ok((taken == ONE_STATEMENT).then_some(()))
                })
                .await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_readers_connection_ends_its_transaction() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.primary_url()).await?;
        // A level can be set before the first query only.
        let config = "[transaction]\nisolation = \"serializable\"\n[database]\nmax_connections = 1";
        let app = serve_with(proxy.url(), config, &[("CARYA_DATABASE__ADMIN_URL", &database.primary_url())]).await?;
        let read = json!([{ "sql": "SELECT count(*) FROM ones", "op": "query_one" }]);
        eventually("fewer round trips", async || {
            let before = proxy.round_trips();
            for answer in try_join_all((0..QUEUE).map(|_| send(&app, "GET", &read))).await? {
                assert_eq!(answer.status, 200, "{engine}: {}", answer.text());
            }
            let taken = proxy.round_trips() - before;
            Ok((2 * taken < (2 * ONE_STATEMENT - 1) * QUEUE).then_some(()))
        })
        .await?;
        let (app, read) = (&app, &read);
        let mixed = (1..=QUEUE as u32).map(|number| async move {
            match number % 2 {
                0 => send(app, "GET", read).await,
                _ => send(app, "POST", &json!([insert("ones", number)])).await,
            }
        });
        for answer in try_join_all(mixed).await? {
            assert_eq!(answer.status, 200, "{engine}: {}", answer.text());
        }
        let direct = database.primary()?;
        assert_eq!(direct.number("SELECT count(*) FROM ones").await?, QUEUE as i64 / 2, "{engine}");
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
        eventually("no open transaction", async || Ok((direct.number(open).await? == 0).then_some(()))).await?;
    }
    Ok(())
}
