//! Replicas that are busy, and replicas that do not respond.

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::json;

use super::{POSITION, begun, rows, seen, serve, write};
use crate::{
    script::send,
    support::{
        Result,
        proxy::{Fate, Proxy},
        servers::{self, Engine},
    },
};

const ILL: &str = "a replica cannot be used";

#[tokio::test]
async fn a_read_goes_to_the_server_with_the_fewest_requests() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let replica = database.replica_url();
        let proxies = [Proxy::to(&replica).await?, Proxy::to(&replica).await?];
        let app = serve(&database.primary_url(), &[proxies[0].url(), proxies[1].url()], "").await?;
        let [first, second] = ["first", "second"].map(|text| json!([{ "sql": format!("SELECT 1 AS {text}") }]));
        // The proxy of the first replica holds the next statement that contains `first`.
        proxies[0].trap("first", Fate::Held);
        proxies[1].trap("second", Fate::Held);
        let watching = async {
            proxies[0].sprung(1).await?;
            let passing = async {
                proxies[1].sprung(1).await?;
                proxies[1].release();
                Ok(())
            };
            let (answer, ()) = tokio::try_join!(send(&app, "GET", &second), passing)?;
            proxies[0].release();
            Ok(answer)
        };
        let (first, second) = tokio::try_join!(send(&app, "GET", &first), watching)?;
        assert_eq!((first.status, second.status), (200, 200), "{engine}");
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_replica_is_not_mistaken_for_an_unhealthy_one() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.replica_url()).await?;
        let settings =
            "max_connections = 1\nacquire_timeout = \"700ms\"\nstatement_timeout = \"4s\"\nreplica_check = \"50ms\"";
        let app = serve(&database.primary_url(), &[proxy.url()], settings).await?;
        cluster.synchronize().await?;
        proxy.trap("held", Fate::Held);
        let long = json!([{ "sql": "SELECT 1 AS held" }]);
        let others = async {
            proxy.sprung(1).await?;
            let [on_primary, on_replica] = begun(&app).await?;
            assert_eq!(seen(&app).await?, 0);
            assert_eq!(begun(&app).await?, [on_primary + 1, on_replica], "{engine}: the primary stands in");
            proxy.release();
            Ok(())
        };
        let (long, ()) = tokio::try_join!(send(&app, "GET", &long), others)?;
        assert_eq!(long.status, 200, "{engine}: {}", long.text());
        let [on_primary, on_replica] = begun(&app).await?;
        assert_eq!(seen(&app).await?, 0);
        assert_eq!(begun(&app).await?, [on_primary, on_replica + 1], "{engine}: it is free again");
        let told = app.log.lines().into_iter().find(|line| line["message"].to_string().contains(ILL));
        assert!(told.is_none(), "{engine}: {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_replica_that_does_not_answer_is_not_waited_for() -> Result {
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let database = cluster.database().await?;
        let proxy = Proxy::to(&database.replica_url()).await?;
        let times = "statement_timeout = \"1s\"\nacquire_timeout = \"1s\"";
        // The interval is so long that the host does not check the replica itself. Only requests reveal its state.
        let app = serve(&database.primary_url(), &[proxy.url()], &format!("{times}\nreplica_check = \"1h\"")).await?;
        write(&app).await?;
        cluster.synchronize().await?;
        assert_eq!(seen(&app).await?, 1);
        let newer = write(&app).await?.headers[POSITION].clone();
        proxy.set_silent(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static(POSITION), newer)]);
        assert_eq!(rows(&app, "GET", "/x", headers).await?, 2, "{engine}: with a token");
        assert_eq!(seen(&app).await?, 2, "{engine}: without one");
        app.log.wait_for(ILL).await?;

        proxy.set_silent(false);
        let app = serve(&database.primary_url(), &[proxy.url()], &format!("{times}\nreplica_check = \"50ms\"")).await?;
        assert_eq!(seen(&app).await?, 2);
        proxy.set_silent(true);
        app.log.wait_for(ILL).await?;
        let [on_primary, _] = begun(&app).await?;
        assert_eq!(seen(&app).await?, 2);
        assert_eq!(begun(&app).await?[0], on_primary + 1, "{engine}: the primary stands in");
        proxy.set_silent(false);
        app.log.wait_for("a replica is used again").await?;
        let [on_primary, _] = begun(&app).await?;
        assert_eq!(seen(&app).await?, 2);
        assert_eq!(begun(&app).await?[0], on_primary, "{engine}: it is used again");
    }
    Ok(())
}
