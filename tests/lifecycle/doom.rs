//! A failed statement dooms the transaction unless the guest rolls back to a savepoint before the statement.

use serde_json::{Value as Json, json};

use super::{expect, expect_next};
use crate::{
    script::{
        ENDLESS, NUMBERS, after_commit, after_rollback, answer, broken, insert, marks, play, start, start_with,
        swallowed,
    },
    support::{Engine, Result, on_each_engine},
};

const ROUTE: &str = r#"
    [[route]]
    path = "/"
    component = "probe"
"#;
const COMMITTED: &str = "start, inside, commit, clear";
const ROLLED_BACK: &str = "start, rollback, clear";

fn savepoint(steps: Json, end: &str) -> Json {
    json!({ "savepoint": steps, "end": end })
}

async fn a_failed_statement_dooms(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let forbidden = json!({ "sql": "COMMIT", "swallow": true });
    let unknown = json!({ "sql": "SELECT * FROM no_such_table", "swallow": true });
    for failed in [broken(), swallowed(), forbidden, unknown] {
        expect(&app, "doom", "POST /", &[failed], 500, ROLLED_BACK).await?;
    }
    // A response with an error status rolls back by itself, so the client receives it unchanged.
    expect(&app, "doom", "POST /", &[swallowed(), answer(409)], 409, "start, inside, rollback, clear").await?;
    expect(&app, "doom", "POST /", &[swallowed(), answer(302)], 500, ROLLED_BACK).await
}

async fn the_log_names_the_dooming_statement(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    expect(&app, "doom", "POST /", &[swallowed()], 500, ROLLED_BACK).await?;
    let line = app.log.wait_for("a failed statement was not undone by a savepoint").await?;
    assert_eq!(line["fault"], "database", "{line}");
    assert!(line["message"].as_str().is_some_and(|message| message.to_lowercase().contains("null")), "{line}");
    Ok(())
}

async fn a_doomed_transaction_refuses_statements(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = json!([swallowed(), { "sql": "SELECT 1", "swallow": true }, answer(409)]);
    assert_eq!(play(&app, "POST", "/", &script).await?.status, 409);
    let script = json!([swallowed(), { "sql": "SELECT 1", "swallow": true }, { "mark_rollback": true }]);
    let answer = play(&app, "POST", "/", &script).await?;
    let results = answer.json()?;
    assert_eq!(results[0]["error"]["kind"], "constraint", "{results}");
    assert_eq!(results[1]["error"]["kind"], "other", "{results}");
    Ok(())
}

async fn a_savepoint_that_is_rolled_back_lifts_the_doom(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let table = [
        (savepoint(json!([swallowed()]), "rollback"), 200, COMMITTED),
        (savepoint(json!([insert("n"), swallowed()]), "rollback"), 200, COMMITTED),
        (savepoint(json!([swallowed()]), "drop"), 500, ROLLED_BACK),
        (savepoint(json!([swallowed()]), "leak"), 500, ROLLED_BACK),
        (savepoint(json!([savepoint(json!([swallowed()]), "drop")]), "rollback"), 200, COMMITTED),
        (savepoint(json!([savepoint(json!([swallowed()]), "leak")]), "rollback"), 200, COMMITTED),
        (savepoint(json!([savepoint(json!([swallowed()]), "rollback")]), "drop"), 200, COMMITTED),
        (savepoint(json!([insert("n")]), "rollback"), 200, COMMITTED),
    ];
    for (step, status, steps) in table {
        expect_next(&app, "savepoint", "POST /", &[step], status, steps).await?;
    }
    Ok(())
}

async fn a_savepoint_keeps_earlier_writes(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let inner = savepoint(json!([insert("b"), savepoint(json!([insert("c")]), "rollback"), insert("d")]), "drop");
    let script = json!([insert("a"), inner, savepoint(json!([insert("e")]), "leak"), insert("f")]);
    let answer = play(&app, "POST", "/", &script).await?;
    assert_eq!((answer.status, answer.steps().as_str()), (200, COMMITTED), "{}", answer.text());
    assert_eq!(marks(&app).await?, "a b d e f");
    Ok(())
}

async fn actions_are_rolled_back_with_their_savepoint(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let script = [
        after_commit("one"),
        savepoint(json!([after_commit("two"), savepoint(json!([after_commit("three")]), "drop")]), "rollback"),
        savepoint(json!([after_commit("four")]), "drop"),
    ];
    expect(&app, "actions", "POST /", &script, 200, "start, inside, commit, one, four, clear").await?;
    let script = [savepoint(json!([after_rollback("one")]), "rollback"), after_rollback("two"), answer(400)];
    expect_next(&app, "actions", "POST /", &script, 400, "start, inside, rollback, two, clear").await
}

async fn a_savepoint_recovers_from_a_result_that_is_too_large(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[("CARYA_DATABASE__MAX_ROWS", "3")]).await?;
    let large = json!({ "sql": "VALUES (1), (2), (3), (4)", "swallow": true });
    expect(&app, "limit", "POST /", std::slice::from_ref(&large), 500, ROLLED_BACK).await?;
    expect(&app, "limit", "POST /", &[savepoint(json!([large]), "rollback")], 200, COMMITTED).await
}

async fn a_savepoint_recovers_from_a_statement_that_takes_too_long(engine: Engine) -> Result {
    let app = start_with(engine, ROUTE, &[("CARYA_DATABASE__STATEMENT_TIMEOUT", "1s")]).await?;
    let reading = json!({ "sql": format!("{NUMBERS} SELECT count(*) FROM {ENDLESS}"), "swallow": true });
    expect(&app, "timeout", "POST /", std::slice::from_ref(&reading), 500, ROLLED_BACK).await?;
    expect(&app, "timeout", "POST /", &[savepoint(json!([reading]), "rollback")], 200, COMMITTED).await?;
    // This statement writes very little before the timeout, so its rollback must be fast as well.
    let writing = format!("INSERT INTO marks {NUMBERS} SELECT count(*) FROM {ENDLESS}");
    let mut savepoint = savepoint(json!([insert("undone"), { "sql": writing, "swallow": true }]), "rollback");
    savepoint["swallow"] = true.into();
    if engine == Engine::Sqlite {
        // SQLite rolls back the whole transaction when it interrupts a writing statement, so the savepoint no longer
        // exists.
        expect_next(&app, "timeout", "POST /", &[savepoint, insert("lost")], 500, ROLLED_BACK).await
    } else {
        expect_next(&app, "timeout", "POST /", &[savepoint], 200, COMMITTED).await
    }
}

async fn a_marked_transaction_rolls_back_and_the_answer_stays(engine: Engine) -> Result {
    let app = start(engine, ROUTE).await?;
    let mark = json!({ "mark_rollback": true });
    let script = [mark.clone(), after_commit("no"), after_rollback("yes")];
    expect(&app, "mark", "POST /", &script, 200, "start, inside, rollback, yes, clear").await?;
    // Rolling back to a savepoint does not remove the mark.
    let script = [savepoint(json!([mark]), "rollback")];
    expect(&app, "mark", "POST /", &script, 200, "start, inside, rollback, clear").await
}

on_each_engine! {
    a_failed_statement_dooms,
    the_log_names_the_dooming_statement,
    a_doomed_transaction_refuses_statements,
    a_savepoint_that_is_rolled_back_lifts_the_doom,
    a_savepoint_keeps_earlier_writes,
    actions_are_rolled_back_with_their_savepoint,
    a_savepoint_recovers_from_a_result_that_is_too_large,
    a_savepoint_recovers_from_a_statement_that_takes_too_long,
    a_marked_transaction_rolls_back_and_the_answer_stays,
}
