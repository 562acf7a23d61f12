//! What a request costs in round trips to its server, counted on the way.

use serde_json::json;

use super::{eventually, harden, serve, serve_with};
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
