//! Connections that are lost during a commit. A response must not report a commit or a rollback that the host has not
//! confirmed.

use serde_json::json;

use super::{assert_unavailable, harden, insert, serve_with, whole, write};
use crate::{
    script::{after_commit, after_rollback, send},
    support::{
        App, Result, Wrong, check, check_eq,
        client::Client,
        eventually,
        proxy::{Fate, Proxy},
        servers::{self, Cluster, Engine},
    },
};

const COMMIT: &str = "COMMIT";
const CUT_OFF: &str = "a commit was not confirmed";

/// An application that reaches its database through a proxy.
struct Stage {
    /// Client that bypasses the proxy.
    direct: Client,
    proxy: Proxy,
    app: App,
}

impl Stage {
    async fn new(cluster: &Cluster, config: &str) -> Result<Self> {
        let database = cluster.database().await?;
        let direct = database.primary_url();
        let proxy = Proxy::to(&direct).await?;
        let env = [("CARYA_DATABASE__ADMIN_URL", direct.as_str()), ("CARYA_SERVER__METRICS", "127.0.0.1:0")];
        let app = serve_with(proxy.url(), config, &env).await?;
        Ok(Self { direct: database.primary()?, proxy, app })
    }

    async fn written(&self) -> Result<Vec<u32>> {
        whole(&self.direct).await
    }

    /// Returns how many unconfirmed commits the host has counted with this resolution.
    async fn in_doubt(&self, resolution: &str) -> Result<usize> {
        self.app.metric(&format!("carya_in_doubt_total{{resolution=\"{resolution}\"}}")).await
    }
}

/// Starts a [`Stage`] for each engine.
async fn stages(config: &str) -> Result<Vec<(Engine, Stage)>> {
    let mut stages = Vec::new();
    for engine in Engine::servers() {
        let cluster = servers::shared(engine).await?.ok_or("not installed")?;
        let stage = Stage::new(cluster, config).await?;
        if engine == Engine::Postgres {
            settle(&stage.direct).await?;
        }
        stages.push((engine, stage));
    }
    Ok(stages)
}

/// Waits until the server's last checkpoint is more than 2 s old. The host only trusts that a transaction is committed
/// if the transaction began at least 2 s after that checkpoint: after a crash, PostgreSQL may assign a transaction's
/// number again.
async fn settle(server: &Client) -> Result {
    let is_settled = "SELECT count(*) FROM pg_control_checkpoint() WHERE checkpoint_time < now() - interval '2 s'";
    eventually("two seconds later", async || Ok(server.number(is_settled).await? > 0)).await
}

/// Returns a script that writes a row to both tables and registers an action for each outcome.
fn script(id: u32) -> serde_json::Value {
    json!([insert("ones", id), insert("twos", id), after_commit("kept"), after_rollback("gone")])
}

#[tokio::test]
async fn a_commit_that_did_not_arrive_is_no_success() -> Result {
    for (engine, stage) in stages("").await? {
        stage.proxy.trap(COMMIT, Fate::Lost);
        let answer = send(&stage.app, "POST", &script(1)).await?;
        assert_unavailable(&answer, "the commit was lost");
        let line = stage.app.log.wait_for(CUT_OFF).await?;
        if engine == Engine::Postgres {
            assert_eq!(line["committed"], false, "{line}");
            assert_eq!(stage.in_doubt("rolled back").await?, 1);
            let events = answer.events().join(", ");
            assert!(events.ends_with("rollback, after_rollback:gone, clear"), "{events}");
        } else {
            assert!(line["committed"].is_null(), "{line}");
            assert_eq!(stage.in_doubt("unknown").await?, 1);
            assert!(answer.text().contains("may or may not have been made"), "{}", answer.text());
            assert!(answer.events().join(", ").ends_with("in_doubt, clear"), "{:?}", answer.events());
        }
        assert!(stage.written().await?.is_empty(), "{engine}");
        assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "{engine}: it goes on");
        assert_eq!(stage.written().await?, [2], "{engine}");
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_with_a_lost_answer_is_queried_or_in_doubt() -> Result {
    for (engine, stage) in stages("").await? {
        stage.proxy.trap(COMMIT, Fate::Unanswered);
        let answer = send(&stage.app, "POST", &script(1)).await?;
        let line = stage.app.log.wait_for(CUT_OFF).await?;
        let events = answer.events().join(", ");
        if engine == Engine::Postgres {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(events.ends_with("commit, after_commit:kept, clear"), "{events}");
            assert_eq!(line["committed"], true, "{line}");
            assert_eq!(stage.in_doubt("committed").await?, 1);
        } else {
            assert_unavailable(&answer, "nobody can tell");
            assert!(answer.text().contains("may or may not have been made"), "{}", answer.text());
            assert!(events.ends_with("in_doubt, clear"), "{events}");
            assert!(line["committed"].is_null(), "{line}");
            assert_eq!(stage.in_doubt("unknown").await?, 1);
        }
        assert_eq!(stage.written().await?, [1], "{engine}: it was committed");
        assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "{engine}: it goes on");
        assert_eq!(stage.written().await?, [1, 2], "{engine}");
    }
    Ok(())
}

#[tokio::test]
async fn a_hardened_login_can_query_the_outcome_of_its_commit() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let stage = Stage::new(cluster, "").await?;
    settle(&stage.direct).await?;
    let url = stage.app.database_url.clone().ok_or("no URL")?;
    let name = url.rsplit('/').next().and_then(|end| end.split('?').next()).unwrap_or_default();
    let [writer, reader] = harden(&url, name).await?;
    let env = [("CARYA_DATABASE__READER_URL", reader.as_str()), ("CARYA_DATABASE__ADMIN_URL", url.as_str())];
    let app = serve_with(&writer, "", &env).await?;
    stage.proxy.trap(COMMIT, Fate::Unanswered);
    let answer = send(&app, "POST", &script(1)).await?;
    assert_eq!(answer.status, 200, "{} {:#?}", answer.text(), app.log.lines().last());
    stage.proxy.trap(COMMIT, Fate::Lost);
    assert_unavailable(&send(&app, "POST", &script(2)).await?, "the commit was lost");
    assert_eq!(app.log.lines().iter().filter(|line| line["committed"] == false).count(), 1);
    assert_eq!(stage.written().await?, [1]);
    Ok(())
}

/// A read-only transaction has no effect, so its outcome is never in doubt, and the request succeeds.
#[tokio::test]
async fn a_read_whose_end_was_lost_is_a_success() -> Result {
    for (engine, stage) in stages("").await? {
        let mut wrong = Wrong::default();
        for fate in [Fate::Lost, Fate::Unanswered] {
            stage.proxy.trap("ROLLBACK", fate);
            let answer = send(&stage.app, "GET", &json!([{ "sql": "SELECT id FROM ones" }])).await?;
            check_eq!(wrong, answer.status, 200, "{engine} {fate:?}: {}", answer.text());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_ended_before_its_commit_has_written_nothing() -> Result {
    for (engine, stage) in stages("").await? {
        stage.proxy.trap(COMMIT, Fate::Held);
        let ending = async {
            stage.proxy.sprung(1).await?;
            let (find, end) = match engine {
                Engine::Postgres => (
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'",
                    "SELECT pg_terminate_backend",
                ),
                _ => (
                    "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx t, information_schema.processlist p \
                     WHERE p.id = t.trx_mysql_thread_id AND p.db = database()",
                    "KILL CONNECTION ",
                ),
            };
            let session = stage.direct.number(find).await?;
            stage.direct.execute(&format!("{end}({session})")).await?;
            stage.proxy.release();
            Ok(())
        };
        let script = write(1);
        let (answer, ()) = tokio::try_join!(send(&stage.app, "POST", &script), ending)?;
        assert_unavailable(&answer, "its session was ended");
        assert!(stage.written().await?.is_empty(), "{engine}");
        assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "{engine}: it goes on");
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_with_a_conflict_is_retried() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let stage = Stage::new(cluster, "[transaction]\nisolation = \"serializable\"").await?;
    stage.proxy.trap(COMMIT, Fate::Held);
    let count = "SELECT count(*) FROM ones";
    let other = async {
        stage.proxy.sprung(1).await?;
        let mut other = stage.direct.connect().await?;
        other.execute("BEGIN ISOLATION LEVEL SERIALIZABLE").await?;
        assert_eq!(other.number(count).await?, 0);
        other.execute("INSERT INTO ones VALUES (7); INSERT INTO twos VALUES (7); COMMIT").await?;
        stage.proxy.release();
        Ok(())
    };
    let script = json!([{ "sql": count, "op": "query_one" }, insert("ones", 1), insert("twos", 1)]);
    let (answer, ()) = tokio::try_join!(send(&stage.app, "POST", &script), other)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = answer.events().join(", ");
    assert!(events.contains("begin, rollback, retry, "), "the server refused the commit: {events}");
    assert_eq!(answer.json()?[0]["row"][0]["v"], "1", "the second attempt saw the other: {}", answer.text());
    assert_eq!(stage.written().await?, [1, 7]);
    Ok(())
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_commit_rolls_back() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let stage = Stage::new(cluster, "").await?;
    stage.direct.execute("ALTER TABLE twos ADD FOREIGN KEY (id) REFERENCES ones DEFERRABLE INITIALLY DEFERRED").await?;
    let script = json!([insert("twos", 1), after_commit("kept"), after_rollback("gone")]);
    let answer = send(&stage.app, "POST", &script).await?;
    assert_eq!(answer.status, 500, "{}", answer.text());
    let events = answer.events().join(", ");
    assert!(events.ends_with("begin, rollback, after_rollback:gone, clear"), "{events}");
    assert!(
        stage.app.log.wait_for("the commit failed").await?["message"].to_string().contains("(constraint, code 23503)")
    );
    assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "in the right order at the end");
    assert_eq!(stage.written().await?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_refused_commit_is_logged_with_kind_and_code() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let stage = Stage::new(cluster, "[transaction]\nretries = 0").await?;
    stage.direct.execute("CREATE TABLE late (id BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)").await?;
    for (name, code) in [("refused", "P0001"), ("conflicting", "40001")] {
        let trigger = format!(
            "CREATE TABLE {name} (id BIGINT);
             CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION '{name}' USING ERRCODE = '{code}'; END $$;
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {name} DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION {name}()"
        );
        stage.direct.execute(&trigger).await?;
    }
    let mut wrong = Wrong::default();
    for (table, status, after, cause) in [
        ("late", 500, "", "(constraint, code 23505)"),
        ("refused", 500, "", "the commit failed: refused (other, code P0001)"),
        ("conflicting", 503, "1", "the commit failed: conflicting (conflict, code 40001)"),
    ] {
        let answer = send(&stage.app, "POST", &json!([insert(table, 1), insert(table, 1)])).await?;
        check_eq!(wrong, (answer.status, answer.header("retry-after")), (status, after), "{table}: {}", answer.text());
        let line = stage.app.log.wait_for(cause).await?;
        check_eq!(wrong, line["request"], answer.header("x-request-id"), "{table}: {line}");
        check_eq!(wrong, stage.direct.number(&format!("SELECT count(*) FROM {table}")).await?, 0, "{table}");
    }
    Ok(())
}

/// PostgreSQL accepts a COMMIT in an aborted transaction without an error, and MariaDB a COMMIT without a transaction.
#[tokio::test]
async fn a_commit_that_the_server_turns_into_a_rollback_is_seen() -> Result {
    for (engine, stage) in stages("").await? {
        // A response of PostgreSQL ends with `ReadyForQuery`: `Z`, the length 5, and a status. A response of MariaDB
        // begins with its length and the sequence number 1.
        let (table, end): (&[(&[u8], u16)], &[u8]) = match engine {
            Engine::Postgres => (&[(b"Q\0\0\0\x0fSELECT 1/0\0", 500), (b"Q\0\0\0\x0dROLLBACK\0", 503)], b"Z\0\0\0\x05"),
            _ => (&[(b"\x09\0\0\0\x03ROLLBACK", 503)], b"\0\0\x01"),
        };
        let mut wrong = Wrong::default();
        for (message, status) in table {
            stage.proxy.trap(COMMIT, Fate::After { message, end });
            let answer = send(&stage.app, "POST", &script(1)).await?;
            let message = String::from_utf8_lossy(message);
            check_eq!(wrong, answer.status, *status, "{engine} {message}: {}", answer.text());
            check!(wrong, !answer.steps().contains("commit"), "{engine} {message}: {}", answer.steps());
            check!(wrong, stage.written().await?.is_empty(), "{engine} {message}");
        }
        assert_eq!(send(&stage.app, "POST", &write(2)).await?.status, 200, "{engine}: it goes on");
        assert_eq!(stage.written().await?, [2], "{engine}");
    }
    Ok(())
}

/// A statement after the COMMIT cannot undo it, so its failure does not fail the request. Here the statement queries
/// the position for the token.
#[tokio::test]
async fn a_failure_after_the_commit_is_no_failure_of_the_commit() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let database = cluster.database().await?;
    let (direct, login) = (database.primary()?, database.create_login("writer").await?);
    let replicas = format!("[database]\nreplicas = [\"{}\"]", database.replica_url());
    let url = database.primary_url();
    let app = serve_with(&login.primary_url, &replicas, &[("CARYA_DATABASE__ADMIN_URL", &url)]).await?;
    direct.execute(&format!("GRANT ALL ON ones, twos TO {}", login.name)).await?;
    assert_eq!(send(&app, "POST", &write(1)).await?.header("x-carya-position").split('=').next(), Some("default"));
    direct.execute("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC").await?;
    let answer = send(&app, "POST", &write(2)).await?;
    assert_eq!((answer.status, answer.header("x-carya-position")), (200, ""), "{}", answer.text());
    assert_eq!(whole(&direct).await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn an_error_that_a_guest_hides_dooms() -> Result {
    for (engine, stage) in stages("").await? {
        assert_eq!(send(&stage.app, "POST", &write(1)).await?.status, 200);
        let hidden = |step: serde_json::Value| {
            let mut step = step;
            step["swallow"] = true.into();
            step
        };
        let broken = [
            insert("ones", 1),
            json!({ "sql": "INSERT INTO ones VALUES (NULL)", "op": "execute" }),
            json!({ "sql": "SELECT * FROM no_such_table" }),
            json!({ "sql": "SELECT FROM WHERE" }),
            json!({ "sql": "COMMIT", "op": "execute" }),
        ];
        let mut wrong = Wrong::default();
        for step in broken {
            let script = json!([insert("ones", 2), step.clone(), insert("twos", 2)].map(hidden));
            let answer = send(&stage.app, "POST", &script).await?;
            check_eq!(wrong, answer.status, 500, "{engine} {step}: {}", answer.text());
            check_eq!(wrong, stage.written().await?, [1], "{engine} {step}");
        }
    }
    Ok(())
}
