//! The order in which hooks run: the PH rows of the lifecycle tables, taken from Pecan's test suite, and further cases.

use serde_json::{Value as Json, json};

use super::{components, global, phases, route};
use crate::{
    script::{fail, play, start},
    support::{App, Engine, Result, on_each_engine},
};

/// Declares hooks that export all four phases and do nothing in them.
fn silent(names: &[&str]) -> String {
    let hooks: Vec<_> = names.iter().map(|name| (*name, "trace-hook", "")).collect();
    components(&hooks)
}

async fn expect(app: &App, row: &str, request: &str, script: &[Json], status: u16, expected: &str) -> Result<String> {
    let (method, path) = request.split_once(' ').ok_or("a request is METHOD PATH")?;
    let answer = play(app, method, path, &json!(script)).await?;
    assert_eq!((answer.status, phases(&answer).as_str()), (status, expected), "{row}: {request}: {}", answer.text());
    Ok(answer.text())
}

/// Sends `GET /` through the hooks of `config`, and compares the phases that ran.
async fn get(engine: Engine, row: &str, config: &str, expected: &str) -> Result {
    let app = start(engine, &(config.to_owned() + &route("/", ""))).await?;
    expect(&app, row, "GET /", &[], 200, expected).await?;
    Ok(())
}

async fn ph_01_one_hook(engine: Engine) -> Result {
    get(engine, "PH-01", &(silent(&["1"]) + &global(&["1"])), "on_route1, before1, inside, after1").await
}

async fn ph_02_equal_priorities(engine: Engine) -> Result {
    let config = silent(&["1", "2", "3"]) + &global(&["1", "2", "3"]);
    let expected = "on_route1, on_route2, on_route3, before1, before2, before3, inside, after3, after2, after1";
    get(engine, "PH-02", &config, expected).await
}

/// Declares the hook `A`, which only exports `on-error`, and the hook `B`, which only exports `on-route`.
fn partial(on_error: &str) -> String {
    components(&[("A", "only-on-error", on_error), ("B", "only-on-route", "")]) + &global(&["A", "B"])
}

async fn ph_03_hooks_of_one_phase(engine: Engine) -> Result {
    get(engine, "PH-03", &partial(""), "on_routeB, inside").await
}

async fn ph_04_hooks_of_one_phase_and_a_failure(engine: Engine) -> Result {
    let app = start(engine, &(partial("") + &route("/", ""))).await?;
    expect(&app, "PH-04", "GET /", &[fail()], 500, "on_routeB, errorA").await?;
    Ok(())
}

async fn ph_05_an_on_error_hook_answers(engine: Engine) -> Result {
    let hooks = components(&[("A", "only-on-error", "on_error = \"answer\"")]) + &global(&["A"]);
    let app = start(engine, &(hooks + &route("/", ""))).await?;
    for method in ["GET", "POST"] {
        let text = expect(&app, "PH-05", &format!("{method} /"), &[fail()], 200, "errorA").await?;
        assert_eq!(text, "on_error", "PH-05");
    }
    Ok(())
}

async fn ph_06_priorities(engine: Engine) -> Result {
    let expected = "on_route3, on_route2, on_route1, before3, before2, before1, inside, after1, after2, after3";
    // Hooks outside the transaction, inside it, and on both sides.
    for hooks in [["1@3", "2@2", "3@1"], ["1@300", "2@200", "3@100"], ["1@101", "2@100", "3@99"]] {
        get(engine, &format!("PH-06 {hooks:?}"), &(silent(&["1", "2", "3"]) + &global(&hooks)), expected).await?;
    }
    Ok(())
}

async fn ph_07_ph_08_a_hook_of_one_route(engine: Engine) -> Result {
    let app = start(engine, &(silent(&["1"]) + &route("/", "") + &route("/sub", "\"1\""))).await?;
    expect(&app, "PH-07", "GET /", &[], 200, "inside").await?;
    expect(&app, "PH-08", "GET /sub", &[], 200, "before1, inside, after1").await?;
    Ok(())
}

async fn ph_10_ph_11_a_global_hook_and_one_of_a_route(engine: Engine) -> Result {
    let app =
        start(engine, &(silent(&["1", "2"]) + &global(&["1"]) + &route("/", "") + &route("/sub", "\"2\""))).await?;
    expect(&app, "PH-10", "GET /", &[], 200, "on_route1, before1, inside, after1").await?;
    expect(&app, "PH-11", "GET /sub", &[], 200, "on_route1, before2, before1, inside, after1, after2").await?;
    expect(&app, "PH-11", "POST /sub", &[], 200, "on_route1, before2, before1, inside, after1, after2").await?;
    Ok(())
}

async fn ph_11_priority_comes_before_place(engine: Engine) -> Result {
    let sub = route("/sub", r#"{ component = "2", priority = 101 }"#);
    let app = start(engine, &(silent(&["1", "2"]) + &global(&["1"]) + &sub)).await?;
    expect(&app, "PH-11", "GET /sub", &[], 200, "on_route1, before1, before2, inside, after2, after1").await?;
    Ok(())
}

async fn ph_13_the_same_hook_global_and_on_the_route(engine: Engine) -> Result {
    let app = start(engine, &(silent(&["1", "2"]) + &global(&["1", "2"]) + &route("/", "\"2\""))).await?;
    let expected = "on_route1, on_route2, before2, before1, inside, after1, after2";
    expect(&app, "PH-13", "GET /", &[], 200, expected).await?;
    let twice = start(engine, &(silent(&["1"]) + &global(&["1"]) + &route("/", "\"1\""))).await?;
    expect(&twice, "PH-13", "GET /", &[], 200, "on_route1, before1, inside, after1").await?;
    Ok(())
}

async fn ph_14(engine: Engine, b: &str, priorities: [u16; 3], status: u16, errors: &str) -> Result {
    let hooks = [("A", "trace-hook", ""), ("B", "trace-hook", b), ("C", "trace-hook", "")];
    let [first, second, third] = priorities;
    let order = [format!("A@{first}"), format!("B@{second}"), format!("C@{third}")];
    let config = components(&hooks) + &global(&order.each_ref().map(String::as_str)) + &route("/", "");
    let answer = play(&start(engine, &config).await?, "POST", "/", &json!([fail()])).await?;
    let events = answer.events().join(", ");
    let row = format!("PH-14 {priorities:?}: {events}");
    assert_eq!(answer.status, status, "{row}");
    // The controller's code ran before it failed.
    assert!(events.contains("before:C, controller:probe, "), "{row}");
    let expected = format!("on_routeA, on_routeB, on_routeC, beforeA, beforeB, beforeC, {errors}");
    assert_eq!(phases(&answer), expected, "{row}");
    assert!(events.contains("rollback"), "{row}");
    Ok(())
}

async fn ph_14_on_error_hooks_run_from_the_inside_out(engine: Engine) -> Result {
    ph_14(engine, "", [101, 102, 103], 500, "errorC, errorB, errorA, afterC, afterB, afterA").await?;
    ph_14(engine, "", [1, 2, 3], 500, "errorC, errorB, errorA, afterC, afterB, afterA").await?;
    // The `on_error` and `after` phases of hooks inside the transaction run before it ends, those of hooks outside run
    // after its end.
    ph_14(engine, "", [1, 102, 103], 500, "errorC, errorB, afterC, afterB, errorA, afterA").await
}

async fn ph_14_the_first_that_answers_ends_the_phase(engine: Engine) -> Result {
    let answers = "on_error = \"answer\"";
    ph_14(engine, answers, [101, 102, 103], 200, "errorC, errorB, afterC, afterB, afterA").await?;
    ph_14(engine, answers, [1, 2, 3], 200, "errorC, errorB, afterC, afterB, afterA").await?;
    ph_14(engine, answers, [1, 102, 103], 200, "errorC, errorB, afterC, afterB, afterA").await
}

async fn without_a_route_global_hooks_run_but_for_before(engine: Engine) -> Result {
    let hooks = components(&[("1", "trace-hook", "on_error = \"tell\"")]) + &global(&["1"]);
    let app = start(engine, &(hooks + &route("/", ""))).await?;
    let text = expect(&app, "404", "GET /nowhere", &[], 200, "on_route1, error1, after1").await?;
    assert_eq!(text, "404 Fault::Client 1:reader");
    Ok(())
}

on_each_engine! {
    ph_01_one_hook,
    ph_02_equal_priorities,
    ph_03_hooks_of_one_phase,
    ph_04_hooks_of_one_phase_and_a_failure,
    ph_05_an_on_error_hook_answers,
    ph_06_priorities,
    ph_07_ph_08_a_hook_of_one_route,
    ph_10_ph_11_a_global_hook_and_one_of_a_route,
    ph_11_priority_comes_before_place,
    ph_13_the_same_hook_global_and_on_the_route,
    ph_14_on_error_hooks_run_from_the_inside_out,
    ph_14_the_first_that_answers_ends_the_phase,
    without_a_route_global_hooks_run_but_for_before,
}
