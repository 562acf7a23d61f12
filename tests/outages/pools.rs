//! Requests that wait for a connection or a row lock that another request holds.

use serde_json::json;

use super::{assert_unavailable, insert, serve, whole, write};
use crate::{
    script::send,
    support::{
        Result,
        proxy::{Fate, Proxy},
        servers::{self, Engine},
    },
};

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
            assert_unavailable(&write, "no connection to write with");
            assert_unavailable(&read, "no connection to read with");
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
