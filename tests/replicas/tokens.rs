//! Routing of reads to the primary and to replicas, and reading one's own writes.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{POSITION, Stage, begun, rows, seen, serve, write};
use crate::support::{Response, Result, Wrong, check_eq, eventually, servers::Engine};

fn header(name: &str, value: &str) -> Result<HeaderMap> {
    Ok(HeaderMap::from_iter([(HeaderName::try_from(name)?, HeaderValue::from_str(value)?)]))
}

/// Returns both forms in which a client can send its position: as a header and as a cookie.
fn tokens(answer: &Response) -> Result<[HeaderMap; 2]> {
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default();
    assert!(cookie.starts_with("carya-position-default="), "{:?}", answer.headers);
    Ok([header(POSITION, answer.header(POSITION))?, header("cookie", cookie)?])
}

#[tokio::test]
async fn a_read_goes_to_the_replica_unless_it_lags_behind_own_writes() -> Result {
    for engine in Engine::servers() {
        let Stage { pair, urls, app } = &Stage::new(engine, "").await?;
        pair.pause_replica().await?;
        let [on_primary, on_replica] = begun(app).await?;
        let written = write(app).await?;
        assert_eq!(begun(app).await?, [on_primary + 1, on_replica], "{engine}: a write goes to the primary");

        assert_eq!(seen(app).await?, 0, "{engine}: the replica does not have it yet");
        assert_eq!(begun(app).await?, [on_primary + 1, on_replica + 1], "{engine}");
        assert_eq!(rows(app, "GET", "/pinned", HeaderMap::new()).await?, 1, "{engine}: a route for the primary");
        assert_eq!(rows(app, "POST", "/x", HeaderMap::new()).await?, 1, "{engine}: a POST that only reads");
        for token in tokens(&written)? {
            assert_eq!(rows(app, "GET", "/x", token).await?, 1, "{engine}: the replica was waited for in vain");
        }

        let patient = serve(&urls[0], &[&urls[1]], "replica_wait = \"4s\"").await?;
        let [on_primary, on_replica] = begun(&patient).await?;
        let [token, _] = tokens(&written)?;
        let resuming = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            pair.resume_replica().await
        };
        let (count, ()) = tokio::try_join!(rows(&patient, "GET", "/x", token), resuming)?;
        assert_eq!(count, 1, "{engine}");
        assert_eq!(begun(&patient).await?, [on_primary, on_replica + 1], "{engine}: the replica was waited for");

        // On a busy machine the replica may report its position too late once or twice.
        eventually("the replica has it", async || {
            let [on_primary, _] = begun(app).await?;
            for token in tokens(&written)? {
                assert_eq!(rows(app, "GET", "/x", token).await?, 1, "{engine}");
            }
            Ok(begun(app).await?[0] == on_primary)
        })
        .await?;
    }
    Ok(())
}

/// With any token, the request returns rows and does not wait for long.
#[tokio::test]
async fn an_invalid_token_is_ignored() -> Result {
    for engine in Engine::servers() {
        let Stage { app, .. } = &Stage::new(engine, "").await?;
        write(app).await?;
        eventually("the replica has it", async || Ok(seen(app).await? == 1)).await?;
        let many = vec!["default=0/1"; 500].join(" ");
        let domains = format!("default={}0-1-1", "7-1-1,".repeat(1000));
        let table = [
            ("", "nothing"),
            ("default=", "no position"),
            ("default=nonsense", "no position"),
            ("default=' OR 1=1; --", "no position"),
            ("default=FFFFFFFF/FFFFFFFF", "far in the future, or of another engine"),
            ("default=0-1-18446744073709551615", "far in the future, or of another engine"),
            ("default=0-1-99999999999999999999999999", "no number"),
            ("default=t18446744073709551615", "a moment in the future"),
            ("default=4294967295-1-1", "a domain that there is not"),
            ("other=0/1", "another database's"),
            ("default=0/1", "long past, or of another engine"),
            ("default=0-1-1", "long past, or of another engine"),
            ("=;=;= = ", "signs"),
            (&many, "many"),
            (&domains, "many domains"),
        ];
        let mut wrong = Wrong::default();
        for (value, what) in table {
            for token in [header(POSITION, value)?, header("cookie", &format!("carya-position-{value}"))?] {
                check_eq!(wrong, rows(app, "GET", "/x", token.clone()).await?, 1, "{engine}: {what}: {value:.40}");
                check_eq!(wrong, rows(app, "POST", "/x", token).await?, 1, "{engine}: {what}: {value:.40}");
            }
        }
        let binary =
            HeaderMap::from_iter([(HeaderName::from_static(POSITION), HeaderValue::from_bytes(b"default=\xff\xfe")?)]);
        assert_eq!(rows(app, "GET", "/x", binary).await?, 1, "{engine}");
        assert!(!app.log.lines().iter().any(|line| line["level"] == "ERROR"), "{:#?}", app.log.lines());
    }
    Ok(())
}
