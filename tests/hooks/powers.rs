//! Capabilities of hooks: the handles that they receive, and their influence on the access mode, the response, and the
//! commit or rollback of the request.

use serde_json::{Value as Json, json};

use super::{components, global, route};
use crate::{
    script::{answer, fail, insert, marks, play, start, swallowed},
    support::{App, Engine, Response, Result, Wrong, check_eq, on_each_engine},
};

const INSIDE: &str = "hook@100";
const OUTSIDE: &str = "hook@99";

/// Starts an application with one hook, named `hook`.
async fn with_hook(engine: Engine, guest: &str, settings: &str, place: &str) -> Result<App> {
    start(engine, &(components(&[("hook", guest, settings)]) + &global(&[place]) + &route("/", ""))).await
}

/// Posts a script that first inserts the mark `m`. Returns the response and the marks in the database afterwards. A
/// hook that writes inserts the mark `h`.
async fn post(app: &App, script: &[Json]) -> Result<(Response, String)> {
    let answer = play(app, "POST", "/", &json!([&[insert("m")], script].concat())).await?;
    let left = marks(app).await?;
    assert_eq!(answer.events().contains(&"commit".to_owned()), !left.is_empty(), "{:?}: {left}", answer.events());
    Ok((answer, left))
}

async fn hooks_inside_get_a_handle(engine: Engine) -> Result {
    let after = "after = \"header\"";
    let mut wrong = Wrong::default();
    for (place, method, mark) in [
        (INSIDE, "GET", "hook:reader"),
        (INSIDE, "POST", "hook:writer"),
        (OUTSIDE, "GET", "hook:none"),
        (OUTSIDE, "POST", "hook:none"),
    ] {
        let app = with_hook(engine, "only-after", after, place).await?;
        let answer = app.call(method, "/").await?;
        check_eq!(wrong, (answer.status, answer.header("x-after")), (200, mark), "{method} {place}");
    }
    Ok(())
}

async fn the_transaction_has_its_configured_priority(engine: Engine) -> Result {
    let hook = components(&[("hook", "only-after", "after = \"header\"")]);
    let mut wrong = Wrong::default();
    for (priority, mark) in [(50, "hook:writer"), (51, "hook:none")] {
        let transaction = format!("[transaction]\npriority = {priority}\n");
        let app = start(engine, &(transaction + &hook + &global(&["hook@50"]) + &route("/", ""))).await?;
        check_eq!(wrong, app.post("/", "[]").await?.header("x-after"), mark, "{priority}");
    }
    Ok(())
}

async fn a_hook_writes_in_the_transaction_of_the_request(engine: Engine) -> Result {
    let sql = "sql = \"INSERT INTO marks VALUES ('h')\"";
    let mut wrong = Wrong::default();
    for phase in ["before", "after"] {
        let app = with_hook(engine, "trace-hook", &format!("{phase} = \"write\", {sql}"), INSIDE).await?;
        check_eq!(wrong, post(&app, &[fail()]).await?.1, "", "{phase}");
        check_eq!(wrong, post(&app, &[answer(409)]).await?.1, "", "{phase}");
        check_eq!(wrong, post(&app, &[]).await?.1, "h m", "{phase}");
    }
    let app = with_hook(engine, "trace-hook", &format!("on_error = \"write\", {sql}"), INSIDE).await?;
    assert_eq!(post(&app, &[fail()]).await?.1, "");
    Ok(())
}

async fn a_failed_statement_of_a_hook_dooms(engine: Engine) -> Result {
    let sql = "sql = \"INSERT INTO marks VALUES (NULL)\"";
    let mut wrong = Wrong::default();
    for phase in ["before", "after"] {
        let app = with_hook(engine, "trace-hook", &format!("{phase} = \"write\", {sql}"), INSIDE).await?;
        let (answer, left) = post(&app, &[]).await?;
        check_eq!(wrong, (answer.status, left.as_str()), (500, ""), "{phase}");
    }
    Ok(())
}

async fn an_on_route_hook_overrides_the_access_mode(engine: Engine) -> Result {
    let with = |mode: &'static str| async move {
        with_hook(engine, "only-on-route", &format!("on_route = {mode:?}"), INSIDE).await
    };
    let table = [
        ("read-write", "GET", "on_route:hook, start, inside, commit, clear"),
        ("read-only", "POST", "on_route:hook, start_read_only, inside, clear"),
        ("none", "POST", "on_route:hook, inside, clear"),
        ("none", "GET", "on_route:hook, inside, clear"),
    ];
    let mut wrong = Wrong::default();
    for (mode, method, steps) in table {
        let app = with(mode).await?;
        let answer = play(&app, method, "/", &json!([])).await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (200, steps), "{mode} {method}");
    }
    let written = play(&with("read-write").await?, "GET", "/", &json!([insert("m")])).await?;
    assert_eq!(written.status, 200, "{}", written.text());
    let app = with("read-only").await?;
    let refused = play(&app, "POST", "/", &json!([insert("m")])).await?;
    assert_eq!((refused.status, marks(&app).await?.as_str()), (500, ""));
    Ok(())
}

async fn an_access_mode_that_the_controller_does_not_serve(engine: Engine) -> Result {
    let hook = components(&[("hook", "only-on-route", "on_route = \"read-write\"")]) + &global(&["hook"]);
    let reader = r#"
        [component.reader]
        path = "{guest:reads-only}"
        [[route]]
        path = "/"
        component = "reader"
    "#;
    let answer = start(engine, &(hook + reader)).await?.get("/").await?;
    assert_eq!((answer.status, answer.steps().as_str()), (500, "on_route:hook, start, rollback, clear"));
    Ok(())
}

async fn an_on_route_hook_answers(engine: Engine) -> Result {
    let app = with_hook(engine, "only-on-route", "on_route = \"answer\"", INSIDE).await?;
    let mut wrong = Wrong::default();
    for path in ["/", "/nowhere"] {
        let answer = app.post(path, "[]").await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (200, "on_route:hook, clear"), "{path}");
        check_eq!(wrong, answer.text(), "on_route", "{path}");
    }
    Ok(())
}

async fn a_before_hook_answers_on_either_side(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for place in [INSIDE, OUTSIDE] {
        let app = with_hook(engine, "only-before", "before = \"answer-200\"", place).await?;
        let (answer, left) = post(&app, &[]).await?;
        check_eq!(wrong, (answer.status, answer.text().as_str(), left.as_str()), (200, "before", ""), "{place}");
        check_eq!(wrong, answer.steps(), "start, before:hook, rollback, clear", "{place}");
    }
    Ok(())
}

async fn a_hook_marks_for_rollback(engine: Engine) -> Result {
    let app = with_hook(engine, "only-before", "before = \"mark-rollback\"", INSIDE).await?;
    let (answer, left) = post(&app, &[]).await?;
    assert_eq!((answer.status, left.as_str()), (200, ""));
    assert_eq!(answer.steps(), "start, before:hook, inside, rollback, clear");
    Ok(())
}

async fn hooks_pass_values_through_the_context(engine: Engine) -> Result {
    let hooks =
        components(&[("a", "only-before", "before = \"context\""), ("b", "only-before", "before = \"context\"")]);
    let app = start(engine, &(hooks + &global(&["a@1", "b@100"]) + &route("/", ""))).await?;
    let script = json!([{ "echo": true, "context": ["before", "other"] }]);
    let mut wrong = Wrong::default();
    for (method, marks) in [("POST", "a:none b:writer"), ("GET", "a:none b:reader")] {
        let answer = play(&app, method, "/", &script).await?.json()?;
        check_eq!(wrong, answer[0]["context"], json!({ "before": marks, "other": null }), "{method}");
    }
    Ok(())
}

async fn an_outer_after_hook_that_fails_changes_nothing(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for how in ["fail", "panic"] {
        let app = with_hook(engine, "only-after", &format!("after = {how:?}"), OUTSIDE).await?;
        let (answer, left) = post(&app, &[]).await?;
        check_eq!(wrong, (answer.status, left.as_str()), (200, "m"), "{how}");
        check_eq!(wrong, answer.steps(), "start, inside, commit, clear, after:hook", "{how}");
        app.log.wait_for("an after hook outside the transaction failed").await?;
    }
    Ok(())
}

async fn a_hook_that_panics(engine: Engine) -> Result {
    let table = [
        ("on_route", INSIDE, 500, "", "on_route:hook, on_error:hook, after:hook, clear"),
        ("before", INSIDE, 500, "", "on_route:hook, start, before:hook, on_error:hook, after:hook, rollback, clear"),
        ("before", OUTSIDE, 500, "", "on_route:hook, start, before:hook, rollback, clear, on_error:hook, after:hook"),
        ("after", INSIDE, 500, "", "on_route:hook, start, before:hook, after:hook, rollback, clear"),
        ("after", OUTSIDE, 200, "m", "on_route:hook, start, before:hook, inside, commit, clear, after:hook"),
    ];
    let mut wrong = Wrong::default();
    for (phase, place, status, left, steps) in table {
        let app = with_hook(engine, "trace-hook", &format!("{phase} = \"panic\""), place).await?;
        let (answer, found) = post(&app, &[]).await?;
        check_eq!(wrong, (answer.status, answer.steps().as_str()), (status, steps), "{phase} {place}");
        check_eq!(wrong, found, left, "{phase} {place}");
    }
    for place in [INSIDE, OUTSIDE] {
        let app = with_hook(engine, "only-on-error", "on_error = \"panic\"", place).await?;
        let (answer, left) = post(&app, &[fail()]).await?;
        check_eq!(wrong, (answer.status, left.as_str()), (500, ""), "on_error {place}");
    }
    Ok(())
}

async fn an_after_hook_changes_the_answer_and_not_the_verdict(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for place in [INSIDE, OUTSIDE] {
        let app = with_hook(engine, "only-after", "after = \"rewrite\"", place).await?;
        for status in [404, 409, 503] {
            let (answer, left) = post(&app, &[answer(status)]).await?;
            check_eq!(wrong, (answer.status, left.as_str()), (203, ""), "{place} {status}: rolled back all the same");
        }
        let (answer, left) = post(&app, &[json!({ "answer": { "text": "small" } })]).await?;
        check_eq!(wrong, (answer.status, answer.text().as_str(), left.as_str()), (203, "SMALL", "m"), "{place}");
        check_eq!(wrong, answer.header("x-inside"), "", "{place}: the header is taken away");
    }
    Ok(())
}

async fn an_after_hook_cannot_set_forbidden_headers(engine: Engine) -> Result {
    let app = with_hook(engine, "only-after", "after = \"bad-header\"", INSIDE).await?;
    let (answer, left) = post(&app, &[]).await?;
    assert_eq!((answer.status, left.as_str()), (200, "m"));
    assert_eq!(answer.header("x-refused"), "bad name,x-bad,content-length,connection");
    Ok(())
}

async fn on_error_hooks_receive_the_failure(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for (place, handle) in [(INSIDE, "writer"), (OUTSIDE, "none")] {
        let app = with_hook(engine, "only-on-error", "on_error = \"tell\"", place).await?;
        let table = [
            (fail(), "500 Fault::Guest"),
            (json!({ "panic": true }), "500 Fault::Guest"),
            (json!({ "answer": { "status": 42 } }), "500 Fault::Guest"),
        ];
        for (step, told) in table {
            let (answer, left) = post(&app, &[step]).await?;
            check_eq!(wrong, (answer.status, left.as_str()), (200, ""), "{place}");
            check_eq!(wrong, answer.text(), format!("{told} hook:{handle}"), "{place}");
        }
    }
    Ok(())
}

async fn an_outer_on_error_hook_answers_a_failed_commit(engine: Engine) -> Result {
    let app = with_hook(engine, "only-on-error", "on_error = \"tell\"", OUTSIDE).await?;
    let (answer, left) = post(&app, &[swallowed()]).await?;
    assert_eq!((answer.status, left.as_str()), (200, ""));
    assert_eq!(answer.text(), "500 Fault::Database hook:none");
    assert_eq!(answer.steps(), "start, rollback, clear, on_error:hook");
    Ok(())
}

async fn a_kept_handle_is_dead(engine: Engine) -> Result {
    let mut wrong = Wrong::default();
    for (place, kept) in [(INSIDE, "lost"), (OUTSIDE, "nothing")] {
        let app = with_hook(engine, "keeper", "", place).await?;
        for method in ["GET", "POST"] {
            let answer = app.call(method, "/").await?;
            check_eq!(wrong, (answer.status, answer.header("x-kept")), (200, kept), "{method} {place}");
        }
    }
    Ok(())
}

on_each_engine! {
    hooks_inside_get_a_handle,
    the_transaction_has_its_configured_priority,
    a_hook_writes_in_the_transaction_of_the_request,
    a_failed_statement_of_a_hook_dooms,
    an_on_route_hook_overrides_the_access_mode,
    an_access_mode_that_the_controller_does_not_serve,
    an_on_route_hook_answers,
    a_before_hook_answers_on_either_side,
    a_hook_marks_for_rollback,
    hooks_pass_values_through_the_context,
    an_outer_after_hook_that_fails_changes_nothing,
    a_hook_that_panics,
    an_after_hook_changes_the_answer_and_not_the_verdict,
    an_after_hook_cannot_set_forbidden_headers,
    on_error_hooks_receive_the_failure,
    an_outer_on_error_hook_answers_a_failed_commit,
    a_kept_handle_is_dead,
}
