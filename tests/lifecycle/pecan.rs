//! Cases from the test suite of Pecan, a Python web framework. Each case lists the lifecycle events that a request must
//! produce, and each test has the number of its case (`PC-01` to `PC-37`). The event `inside` means that the controller
//! ran its script to the end.

use super::expect;
use crate::{
    script::{after_commit, after_rollback, answer, fail, start},
    support::{Engine, Result, on_each_engine},
};

/// Routes of Pecan's test application. The routes under `/tx/` and `/tx-/` stand for controllers with Pecan's decorator
/// `@transactional`, which run in a write transaction even on GET. Under `/tx-/`, a redirect rolls back the
/// transaction.
const ROUTES: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
    [[route]]
    path = "/{plain}"
    component = "probe"
    [[route]]
    path = "/tx/{name}"
    component = "probe"
    transaction = "read-write"
    [[route]]
    path = "/tx-/{name}"
    component = "probe"
    transaction = "read-write"
    rollback_on_redirect = true
"#;

macro_rules! rows {
    ($($name:ident: $request:literal, [$($step:expr),*] => $status:literal, $steps:literal;)*) => {
        $(
            async fn $name(engine: Engine) -> Result {
                expect(&start(engine, ROUTES).await?, stringify!($name), $request, &[$($step),*], $status, $steps).await
            }
        )*
        on_each_engine! { $($name),*, pc_37_an_on_route_hook_fails }
    };
}

rows! {
    pc_01_get: "GET /", [] => 200, "start_read_only, inside, clear";
    pc_02_post: "POST /", [] => 200, "start, inside, commit, clear";
    pc_03_get_redirect: "GET /redirect", [answer(302)] => 302, "start_read_only, clear";
    pc_04_post_redirect: "POST /redirect", [answer(302)] => 302, "start, commit, clear";
    pc_05_post_error: "POST /error", [fail()] => 500, "start, rollback, clear";
    pc_07_post_after_commit: "POST /", [after_commit("one")] => 200, "start, inside, commit, one, clear";
    pc_08_get_decorated:
        "GET /tx/decorated", [after_commit("two")] => 200,
        "start_read_only, clear, start, inside, commit, two, clear";
    pc_10_post_after_rollback:
        "POST /rollback", [after_rollback("three"), answer(500)] => 500, "start, rollback, three, clear";
    pc_11_get_decorated_after_rollback:
        "GET /tx/rollback_decorated", [after_rollback("four"), answer(500)] => 500,
        "start_read_only, clear, start, rollback, four, clear";
    pc_12_no_route: "GET /fourohfour/", [] => 404, "start_read_only, clear";
    pc_17_get_redirect_transactional:
        "GET /tx/redirect_transactional", [answer(302)] => 302, "start_read_only, clear, start, commit, clear";
    pc_18_post_redirect_transactional:
        "POST /tx/redirect_transactional", [answer(302)] => 302, "start, commit, clear";
    pc_19_get_redirect_rollback:
        "GET /tx-/redirect_rollback", [answer(302)] => 302, "start_read_only, clear, start, rollback, clear";
    pc_20_post_redirect_rollback: "POST /tx-/redirect_rollback", [answer(302)] => 302, "start, rollback, clear";
    pc_22_get_error: "GET /error", [fail()] => 500, "start_read_only, clear";
    pc_24_get_error_transactional:
        "GET /tx/error_transactional", [fail()] => 500, "start_read_only, clear, start, rollback, clear";
    pc_35_get_generic: "GET /tx/generic", [] => 200, "start_read_only, clear, start, inside, commit, clear";
    pc_36_post_generic: "POST /tx/generic", [] => 200, "start, inside, commit, clear";
    // A commit runs only the `after_commit` actions, and a rollback runs only the `after_rollback` actions.
    pc_07_commit_runs_only_after_commit_actions:
        "POST /", [after_rollback("no"), after_commit("yes")] => 200, "start, inside, commit, yes, clear";
    pc_10_rollback_runs_only_after_rollback_actions:
        "POST /", [after_commit("no"), after_rollback("yes"), fail()] => 500, "start, rollback, yes, clear";
    // A reader has no functions to register actions, so a controller that needs a writer for an action fails on GET.
    pc_06_get_after_commit: "GET /", [after_commit("one")] => 500, "start_read_only, clear";
    pc_09_get_after_rollback: "GET /rollback", [after_rollback("three"), answer(500)] => 500, "start_read_only, clear";
}

async fn pc_37_an_on_route_hook_fails(engine: Engine) -> Result {
    let hooks = r#"
        [component.early]
        path = "{guest:only-on-route}"
        settings = { on_route = "fail" }
        [[hook]]
        component = "early"
    "#;
    let app = start(engine, &format!("{ROUTES}{hooks}")).await?;
    expect(&app, "PC-37", "GET /", &[], 500, "on_route:early, clear").await?;
    expect(&app, "PC-37", "POST /", &[], 500, "on_route:early, clear").await
}
