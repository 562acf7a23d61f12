//! Conflicts with another writer: the host runs everything inside the transaction again, in fresh instances and with
//! the same body. Nothing of the failed attempts remains.

use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    script::{after_commit, after_rollback, answer, impatient, insert, lock, marks, play, start_with},
    support::{App, Engine, Response, Result, Wrong, check, check_eq, eventually, on_each_engine},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;

/// Serves [`ROUTE`] and more configuration. An attempt waits for a lock only briefly.
async fn serve(engine: Engine, config: &str, retries: &str) -> Result<App> {
    let env = [impatient(engine), ("CARYA_TRANSACTION__RETRIES", retries)];
    start_with(engine, &format!("{config}{ROUTE}"), &env).await
}

/// Returns how often guests have logged `what`.
fn count_logged(app: &App, what: &str) -> usize {
    app.log.lines().iter().filter(|line| line["message"] == what).count()
}

/// Plays a script that first logs `try`. A second client holds the lock until the second attempt has begun.
async fn play_against_a_lock(app: &App, script: &[Json]) -> Result<Response> {
    let script = json!([&[json!({ "log": "try" })], script].concat());
    let mut other = lock(app).await?;
    let unlocking = async {
        eventually("the second attempt has begun", async || Ok(count_logged(app, "try") >= 2)).await?;
        other.execute("COMMIT").await
    };
    Ok(tokio::try_join!(play(app, "POST", "/", &script), unlocking)?.0)
}

fn retried(answer: &Response) -> usize {
    answer.events().iter().filter(|event| *event == "retry").count()
}

/// Returns the events of the last attempt, or all events if there was one attempt only.
fn last_attempt(answer: &Response) -> String {
    let events = answer.events().join(", ");
    events.rsplit_once("retry, ").map_or(events.clone(), |(_, last)| last.to_owned())
}

async fn retries_after_a_conflict(engine: Engine) -> Result {
    let app = serve(engine, "", "10").await?;
    let script = [after_commit("one"), after_rollback("no"), insert("m"), json!({ "echo": true })];
    let answer = play_against_a_lock(&app, &script).await?;
    let events = answer.events().join(", ");
    assert_eq!(answer.status, 200, "{events}: {}", answer.text());
    assert!(events.starts_with("start, controller:probe, begin, rollback, retry, "), "{events}");
    assert_eq!(last_attempt(&answer), "controller:probe, begin, commit, after_commit:one, clear");
    assert_eq!(marks(&app).await?, "m other");
    assert_eq!(count_logged(&app, "try"), 1 + retried(&answer), "an attempt is a run of the controller");
    assert!(answer.json()?[4]["body_len"].as_u64().is_some_and(|length| length > 0), "{}", answer.text());
    Ok(())
}

async fn a_guest_cannot_hide_a_conflict(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for status in [200, 409] {
        let app = serve(engine, "", "10").await?;
        let swallowed = json!({ "sql": "INSERT INTO marks VALUES ('m')", "op": "execute", "swallow": true });
        let answer = play_against_a_lock(&app, &[swallowed, answer(status)]).await?;
        check!(wrong, retried(&answer) > 0, "{status:?}: {:?}", answer.events());
        check_eq!(wrong, (answer.status, marks(&app).await?.starts_with('m')), (status, status == 200), "{status:?}");
    }
    Ok(())
}

async fn attempts_are_bounded(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for retries in [0, 1, 2] {
        let app = serve(engine, "", &retries.to_string()).await?;
        let _other = lock(&app).await?;
        for swallow in [false, true] {
            let write = json!({ "sql": "INSERT INTO marks VALUES ('m')", "op": "execute", "swallow": swallow });
            let script = json!([after_commit("no"), after_rollback("yes"), write]);
            let answer = play(&app, "POST", "/", &script).await?;
            check_eq!(wrong, (answer.status, answer.header("retry-after")), (503, "1"), "{retries}");
            check_eq!(wrong, retried(&answer), retries, "{retries:?} {swallow:?}: {:?}", answer.events());
            let last = last_attempt(&answer).replace("start, ", "");
            check_eq!(wrong, last, "controller:probe, begin, rollback, after_rollback:yes, clear", "{retries}");
        }
    }
    Ok(())
}

async fn a_route_sets_the_number_of_retries(engine: Engine) -> Result {
    let route = |path: &str, retries: u32| {
        format!("[[route]]\npath = \"{path}\"\ncomponent = \"probe\"\nretries = {retries}\n")
    };
    let app = serve(engine, &(route("/never", 0) + &route("/once", 1)), "2").await?;
    let _other = lock(&app).await?;
    let mut wrong = Wrong::default();
    for (path, times) in [("/never", 0), ("/once", 1), ("/", 2)] {
        let answer = play(&app, "POST", path, &json!([insert("m")])).await?;
        check_eq!(wrong, (answer.status, retried(&answer)), (503, times), "{path}: {:?}", answer.events());
    }
    Ok(())
}

async fn only_hooks_inside_run_again(engine: Engine) -> Result {
    let hooks = r#"
        [component.outer]
        path = "{guest:trace-hook}"
        settings = { name = "outer", before = "context", after = "header" }
        [component.inner]
        path = "{guest:trace-hook}"
        settings = { name = "inner", before = "context", after = "header" }
        [[hook]]
        component = "outer"
        priority = 1
        [[hook]]
        component = "inner"
    "#;
    let app = serve(engine, hooks, "10").await?;
    let answer = play_against_a_lock(&app, &[insert("m"), json!({ "echo": true, "context": ["before"] })]).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let count = |event: &str| answer.events().iter().filter(|name| *name == event).count();
    assert_eq!(count("before:outer"), 1);
    assert_eq!(count("before:inner"), 1 + retried(&answer));
    // The context values that the first attempt set are discarded.
    assert_eq!(answer.json()?[2]["context"]["before"], "outer:none inner:writer");
    assert_eq!(answer.headers.get_all("x-after").iter().count(), 2, "{:?}", answer.headers);
    Ok(())
}

async fn retries_after_a_conflict_of_an_inner_before_hook(engine: Engine) -> Result {
    a_conflict_of_a_hook(engine, "before").await
}

async fn retries_after_a_conflict_of_an_inner_after_hook(engine: Engine) -> Result {
    a_conflict_of_a_hook(engine, "after").await
}

/// The statement with the conflict is that of an inner hook.
async fn a_conflict_of_a_hook(engine: Engine, phase: &str) -> Result {
    let settings = format!("{phase} = \"write\", sql = \"INSERT INTO marks VALUES ('h')\"");
    let hook = format!(
        "[component.hook]\npath = \"{{guest:trace-hook}}\"\nsettings = {{ {settings} }}\n[[hook]]\ncomponent = \"hook\"\n"
    );
    let app = serve(engine, &hook, "2").await?;
    let mut other = lock(&app).await?;
    let answer = play(&app, "POST", "/", &json!([])).await?;
    assert_eq!((answer.status, retried(&answer)), (503, 2), "{phase}: {:?}", answer.events());
    other.execute("COMMIT").await?;
    assert_eq!((app.post("/", "[]").await?.status, marks(&app).await?.as_str()), (200, "h other"), "{phase}");
    Ok(())
}

async fn retries_only_after_conflicts(engine: Engine) -> Result {
    let app = serve(engine, "", "10").await?;
    let mut wrong = Wrong::default();
    for script in [json!([insert("m"), insert("m")]), json!([{ "fail": "as asked" }]), json!([{ "panic": true }])] {
        let answer = play(&app, "POST", "/", &script).await?;
        check_eq!(wrong, (answer.status, retried(&answer)), (500, 0), "{script}");
    }
    Ok(())
}

async fn does_not_retry_for_a_disconnected_client(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[(impatient(engine).0, "5s"), ("CARYA_TRANSACTION__RETRIES", "10")]).await?;
    let mut other = lock(&app).await?;
    let body = json!([{ "log": "try" }, insert("m")]).to_string();
    let mut client = TcpStream::connect(app.address()).await?;
    let head = format!("POST / HTTP/1.1\r\nhost: carya\r\ncontent-length: {}\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes()).await?;
    app.log.wait_for("try").await?;
    drop(client);
    app.log.wait_for("the client disconnected").await?;
    assert_eq!(count_logged(&app, "try"), 1);
    other.execute("COMMIT").await?;
    assert_eq!(play(&app, "POST", "/", &json!([insert("n")])).await?.status, 200);
    assert_eq!(marks(&app).await?, "n other");
    Ok(())
}

on_each_engine! {
    retries_after_a_conflict,
    a_guest_cannot_hide_a_conflict,
    attempts_are_bounded,
    a_route_sets_the_number_of_retries,
    only_hooks_inside_run_again,
    retries_after_a_conflict_of_an_inner_before_hook,
    retries_after_a_conflict_of_an_inner_after_hook,
    retries_only_after_conflicts,
    does_not_retry_for_a_disconnected_client,
}
