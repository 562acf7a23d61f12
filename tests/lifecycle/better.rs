//! PX rows of the lifecycle tables: cases in which carya deliberately differs from Pecan. `ends.rs` has the rows about
//! the end of a transaction, and `failures.rs` those about interrupted requests.

use serde_json::json;

use super::{expect, expect_next};
use crate::{
    script::{after_commit, after_rollback, answer, fail, insert, play, start, start_with},
    support::{Engine, Result, on_each_engine},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;

/// Returns a configuration with the route and one hook. `settings` configure the hook's behaviour.
fn with_hook(settings: &str) -> String {
    format!(
        r#"{ROUTE}
        [component.hook]
        path = "{{guest:trace-hook}}"
        settings = {{ {settings} }}
        [[hook]]
        component = "hook"
        "#
    )
}

async fn px_02_options_and_trace_start_nothing(engine: Engine) -> Result {
    let own = r#"
        [[route]]
        path = "/own"
        methods = ["OPTIONS", "TRACE", "GET"]
        component = "probe"
    "#;
    let app = start(engine, &format!("{ROUTE}{own}")).await?;
    expect(&app, "PX-02", "OPTIONS /", &[], 204, "clear").await?;
    assert_eq!(app.call("OPTIONS", "/").await?.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    expect(&app, "PX-02", "TRACE /", &[], 405, "clear").await?;
    expect(&app, "PX-02", "OPTIONS /nowhere", &[], 404, "clear").await?;
    expect(&app, "PX-02", "OPTIONS /own", &[], 200, "inside, clear").await?;
    expect(&app, "PX-02", "TRACE /own", &[], 200, "inside, clear").await
}

async fn px_03_one_rule_for_all_redirects(engine: Engine) -> Result {
    let careful = r#"
        [[route]]
        path = "/careful"
        component = "probe"
        rollback_on_redirect = true
    "#;
    let app = start(engine, &format!("{ROUTE}{careful}")).await?;
    for status in [300, 301, 302, 303, 307, 308] {
        expect_next(&app, "PX-03", "POST /", &[answer(status)], status, "start, commit, clear").await?;
        expect_next(&app, "PX-03", "DELETE /", &[answer(status)], status, "start, commit, clear").await?;
        expect_next(&app, "PX-03", "POST /careful", &[answer(status)], status, "start, rollback, clear").await?;
    }
    expect_next(&app, "PX-03", "POST /careful", &[answer(201)], 201, "start, inside, commit, clear").await
}

async fn px_05_errors_roll_back_unless_the_route_commits_them(engine: Engine) -> Result {
    let audit = r#"
        [[route]]
        path = "/audit"
        component = "probe"
        commit_on = ["2xx", "404", "503"]
    "#;
    let app = start(engine, &format!("{ROUTE}{audit}")).await?;
    for status in [400, 404, 409, 422] {
        expect_next(&app, "PX-05", "POST /", &[answer(status)], status, "start, inside, rollback, clear").await?;
    }
    for status in [500, 501, 503, 599] {
        expect_next(&app, "PX-05", "POST /", &[answer(status)], status, "start, rollback, clear").await?;
    }
    let on_audit = [
        (200, "start, inside, commit, clear"),
        (302, "start, rollback, clear"),
        (404, "start, inside, commit, clear"),
        (409, "start, inside, rollback, clear"),
        (500, "start, rollback, clear"),
        (503, "start, commit, clear"),
    ];
    for (status, steps) in on_audit {
        expect_next(&app, "PX-05", "POST /audit", &[answer(status)], status, steps).await?;
    }
    // `commit_on` only applies to responses. An error of the guest rolls back, whatever status the client receives.
    expect_next(&app, "PX-05", "POST /audit", &[fail()], 500, "start, rollback, clear").await
}

async fn px_08_actions_run_in_order_of_registration(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = [after_commit("one"), after_commit("two"), after_commit("three")];
    expect(&app, "PX-08", "POST /", &script, 200, "start, inside, commit, one, two, three, clear").await?;
    let script = [after_rollback("one"), after_rollback("two"), after_rollback("three"), fail()];
    expect_next(&app, "PX-08", "POST /", &script, 500, "start, rollback, one, two, three, clear").await
}

async fn px_09_a_failed_action_changes_nothing(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = [after_commit("fail"), after_commit("panic"), after_commit("two")];
    expect(&app, "PX-09", "POST /", &script, 200, "start, inside, commit, fail, panic, two, clear").await?;
    assert_eq!(app.log.wait_for("an action failed").await?["name"], "fail");
    app.log.wait_for("action two").await?;
    let script = [after_rollback("panic"), after_rollback("fail"), after_rollback("three"), answer(409)];
    let steps = "start, inside, rollback, panic, fail, three, clear";
    expect_next(&app, "PX-09", "POST /", &script, 409, steps).await
}

async fn px_13_an_inner_after_hook_fails(engine: Engine) -> Result {
    for how in ["fail", "panic"] {
        let app = start(engine, &with_hook(&format!("after = {how:?}"))).await?;
        let steps = "on_route:hook, start, before:hook, after:hook, rollback, three, clear";
        expect(&app, "PX-13", "POST /", &[after_rollback("three")], 500, steps).await?;
        expect(&app, "PX-13", "GET /", &[], 500, "on_route:hook, start_read_only, before:hook, after:hook, clear")
            .await?;
    }
    Ok(())
}

async fn px_14_an_inner_on_error_hook_answers(engine: Engine) -> Result {
    let app = start(engine, &with_hook("on_error = \"answer\"")).await?;
    let steps = "on_route:hook, start, before:hook, on_error:hook, after:hook, rollback, clear";
    expect(&app, "PX-14", "POST /", &[fail()], 200, steps).await?;
    expect(&app, "PX-14", "POST /", &[json!({ "panic": true })], 200, steps).await?;
    assert_eq!(play(&app, "POST", "/", &json!([fail()])).await?.text(), "on_error");
    Ok(())
}

async fn px_15_an_inner_on_error_hook_fails(engine: Engine) -> Result {
    for how in ["fail", "panic"] {
        let app = start(engine, &with_hook(&format!("on_error = {how:?}"))).await?;
        let steps = "on_route:hook, start, before:hook, on_error:hook, after:hook, rollback, clear";
        expect(&app, "PX-15", "POST /", &[fail()], 500, steps).await?;
    }
    Ok(())
}

async fn px_20_an_answer_that_cannot_be_encoded_rolls_back(engine: Engine) -> Result {
    let templates = "[templates]\nfolder = \"migrations\"\n";
    let app = start(engine, &format!("{ROUTE}{templates}")).await?;
    let answers = [
        json!({ "status": 42 }),
        json!({ "status": 600 }),
        json!({ "status": 199 }),
        json!({ "headers": [["bad name", "x"]] }),
        json!({ "headers": [["x-bad", "a\r\nset-cookie: b=c"]] }),
        json!({ "headers": [["content-length", "1"]] }),
        json!({ "template": { "name": "no-such.html", "context": {} } }),
        json!({ "rows": { "sql": "SELECT * FROM no_such_table" } }),
        json!({ "rows": { "sql": "DROP TABLE marks" } }),
    ];
    for wanted in answers {
        let row = format!("PX-20 {wanted}");
        expect(&app, &row, "POST /", &[json!({ "answer": wanted })], 500, "start, rollback, clear").await?;
        expect(&app, &row, "GET /", &[json!({ "answer": wanted })], 500, "start_read_only, clear").await?;
    }
    let rows = json!({ "answer": { "rows": { "sql": "SELECT mark FROM marks" } } });
    let answer = play(&app, "POST", "/", &json!([insert("m"), rows])).await?;
    assert_eq!((answer.status, answer.text()), (200, r#"[{"mark":"m"}]"#.to_owned()), "PX-20: in the transaction");
    Ok(())
}

async fn px_20_an_answer_that_is_too_long_rolls_back(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[("CARYA_SERVER__MAX_RESPONSE", "1KiB")]).await?;
    let text = |length| json!({ "answer": { "text": "x".repeat(length) } });
    expect(&app, "PX-20", "POST /", &[text(1025)], 500, "start, rollback, clear").await?;
    expect(&app, "PX-20", "POST /", &[text(1024)], 200, "start, inside, commit, clear").await
}

async fn px_24_every_route_has_its_own_transaction(engine: Engine) -> Result {
    let routes = ["read-write", "read-only", "none"].map(|mode| {
        format!(
            r#"
            [[route]]
            path = "/{mode}"
            component = "probe"
            transaction = "{mode}"
            methods = ["GET", "POST", "OPTIONS"]
            "#
        )
    });
    let app = start(engine, &format!("{ROUTE}{}", routes.concat())).await?;
    let table = [
        ("GET /", 200, "start_read_only, inside, clear"),
        ("HEAD /", 200, "start_read_only, inside, clear"),
        ("POST /", 200, "start, inside, commit, clear"),
        ("PUT /", 200, "start, inside, commit, clear"),
        ("PATCH /", 200, "start, inside, commit, clear"),
        ("DELETE /", 200, "start, inside, commit, clear"),
        ("GET /read-write", 200, "start_read_only, clear, start, inside, commit, clear"),
        ("HEAD /read-write", 200, "start_read_only, clear, start, inside, commit, clear"),
        ("POST /read-write", 200, "start, inside, commit, clear"),
        ("OPTIONS /read-write", 200, "start, inside, commit, clear"),
        ("GET /read-only", 200, "start_read_only, inside, clear"),
        ("POST /read-only", 200, "start, clear, start_read_only, inside, clear"),
        ("OPTIONS /read-only", 200, "start_read_only, inside, clear"),
        ("GET /none", 200, "start_read_only, clear, inside, clear"),
        ("POST /none", 200, "start, clear, inside, clear"),
        ("OPTIONS /none", 200, "inside, clear"),
        ("DELETE /none", 405, "start, rollback, clear"),
        ("GET /nowhere", 404, "start_read_only, clear"),
        ("POST /nowhere", 404, "start, rollback, clear"),
    ];
    for (request, status, steps) in table {
        expect_next(&app, "PX-24", request, &[], status, steps).await?;
    }
    Ok(())
}

async fn px_25_a_before_hook_answers_instead_of_the_controller(engine: Engine) -> Result {
    for (how, status) in [("answer-302", 302), ("answer-200", 200)] {
        let app = start(engine, &with_hook(&format!("before = {how:?}"))).await?;
        let steps = "on_route:hook, start, before:hook, after:hook, rollback, clear";
        expect(&app, "PX-25", "POST /", &[], status, steps).await?;
        let steps = "on_route:hook, start_read_only, before:hook, after:hook, clear";
        expect(&app, "PX-25", "GET /", &[], status, steps).await?;
    }
    Ok(())
}

on_each_engine! {
    px_02_options_and_trace_start_nothing,
    px_03_one_rule_for_all_redirects,
    px_05_errors_roll_back_unless_the_route_commits_them,
    px_08_actions_run_in_order_of_registration,
    px_09_a_failed_action_changes_nothing,
    px_13_an_inner_after_hook_fails,
    px_14_an_inner_on_error_hook_answers,
    px_15_an_inner_on_error_hook_fails,
    px_20_an_answer_that_cannot_be_encoded_rolls_back,
    px_20_an_answer_that_is_too_long_rolls_back,
    px_24_every_route_has_its_own_transaction,
    px_25_a_before_hook_answers_instead_of_the_controller,
}
