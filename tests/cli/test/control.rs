//! The control of `carya test`: traces of requests, faults of commits, answers to outbound requests, the clock.

use serde_json::{Value, json};

use super::{MIGRATION, Running, servers};
use crate::support::{Engine, Result, Wrong, check, check_eq, eventually, on_each_engine};

const WEBHOOK: &str = "https://hooks.example.org/orders";

/// The shop with a service to which orders are posted.
fn config() -> String {
    format!(
        r#"
        [outbound]
        allow = ["https://hooks.example.org"]
        [database]
        url = "sqlite://shop.sqlite"
        [model]
        migrations = "migrations"
        [component.items]
        path = "{{guest:items}}"
        [component.orders]
        path = "{{guest:orders}}"
        http = ["https://hooks.example.org"]
        settings.webhook = "{WEBHOOK}"
        [[route]]
        path = "/items"
        component = "items"
        [[route]]
        path = "/orders"
        component = "orders"
        "#
    )
}

/// A response: its status and the trace of its request.
struct Traced {
    status: u16,
    id: String,
    trace: Value,
}

impl Traced {
    fn events(&self) -> Vec<&str> {
        self.trace["events"].as_array().into_iter().flatten().filter_map(|event| event["event"].as_str()).collect()
    }
}

impl Running {
    /// Sends a request to the first lane.
    async fn post(&self, path: &str, body: &Value) -> Result<Traced> {
        let answer = self.client.post(format!("{}{path}", self.url)).body(body.to_string()).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let id = headers.get("x-request-id").ok_or("no id")?.to_str()?.to_owned();
        let trace = self.trace(&id).await?;
        Ok(Traced { status, id, trace })
    }

    async fn trace(&self, id: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(&format!("/traces/{id}")).await?)?)
    }

    async fn get(&self, path: &str) -> Result<String> {
        let answer = self.client.get(format!("{}{path}", self.control)).send().await?;
        assert_eq!(answer.status(), 200, "{path}");
        Ok(answer.text().await?)
    }
}

fn item(name: &str) -> Value {
    json!({"name": name, "price_cents": 250, "stock": 3})
}

#[tokio::test]
async fn traces_contain_events_statements_and_reasons() -> Result {
    let tests = Running::start(&[]).await?;
    let mut wrong = Wrong::default();
    let created = tests.post("/items", &item("pecan")).await?;
    let Value::Object(trace) = &created.trace else { return Err("no object".into()) };
    check_eq!(wrong, (created.status, &trace["status"]), (201, &json!(201)), "{trace:?}");
    check_eq!(wrong, (&trace["method"], &trace["path"]), (&json!("POST"), &json!("/items")), "{trace:?}");
    check_eq!(wrong, (&trace["outcome"], &trace["failure"]), (&json!("committed"), &Value::Null), "{trace:?}");
    check_eq!(wrong, created.events(), ["start", "controller", "begin", "commit", "clear"], "{trace:?}");
    let statement = &trace["statements"][0];
    check_eq!(wrong, (&statement["component"], &statement["rows_affected"]), (&json!("items"), &json!(1)), "{trace:?}");
    check_eq!(wrong, statement["params"], json!(["pecan", 250, 3]), "{trace:?}");
    check!(wrong, statement["sql"].as_str().is_some_and(|sql| sql.starts_with("INSERT INTO items")), "{trace:?}");
    // The same name again violates a constraint.
    let refused = tests.post("/items", &item("pecan")).await?;
    check_eq!(wrong, (refused.status, &refused.trace["outcome"]), (409, &json!("rolled back")), "{:?}", refused.trace);
    check_eq!(
        wrong,
        refused.trace["rolled_back_because"],
        json!("the status of the response is 409"),
        "{:?}",
        refused.trace
    );
    check!(wrong, refused.trace["statements"][0]["error"].is_string(), "{:?}", refused.trace);
    let text = tests.get(&format!("/traces/{}/text", refused.id)).await?;
    for part in
        ["POST /items: 409, rolled back", "because the status of the response is 409", "statement of items: INSERT"]
    {
        check!(wrong, text.contains(part), "{part}: {text}");
    }
    let unknown = tests.client.get(format!("{}/traces/nobody", tests.control)).send().await?;
    check_eq!(wrong, unknown.status().as_u16(), 400, "an unknown id");
    check!(wrong, unknown.text().await?.contains("there is no trace of a request \"nobody\""), "an unknown id");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}

async fn commits_fail_on_demand(engine: Engine) -> Result {
    let tests = servers::running(engine).await?;
    let mut wrong = Wrong::default();
    // PostgreSQL can report the outcome of a lost commit, unless it has just written a checkpoint.
    let is_postgres = engine == Engine::Postgres;
    let (in_doubt, not_committed) = ("503 in doubt", if is_postgres { "503 rolled back" } else { "503 in doubt" });
    let committed = if is_postgres { "201 committed" } else { in_doubt };
    for (fault, times, expected, items) in [
        ("conflict", 1, ["201 committed"; 2], 1),
        ("conflict", 3, ["503 rolled back"; 2], 0),
        ("failure", 1, ["500 rolled back"; 2], 0),
        ("lost-after-commit", 1, [committed, in_doubt], 1),
        ("lost-before-commit", 1, [not_committed; 2], 0),
    ] {
        check_eq!(wrong, tests.control("/lanes/0/reset", "").await?.0, 204, "{fault}");
        let next = json!({"fault": fault, "times": times}).to_string();
        check_eq!(wrong, tests.control("/lanes/0/commits", next).await?.0, 204, "{fault}");
        let created = tests.post("/items", &item("pecan")).await?;
        let found = format!("{} {}", created.status, created.trace["outcome"].as_str().unwrap_or_default());
        check!(wrong, expected.contains(&&*found), "{fault} x {times}: {found}: {}", created.trace);
        let retries = created.events().iter().filter(|event| **event == "retry").count();
        check_eq!(wrong, retries, if fault == "conflict" { times.min(2) } else { 0 }, "{fault} x {times}");
        let found: Vec<Value> =
            serde_json::from_str(&tests.control("/lanes/0/sql", r#"{"sql": "SELECT name FROM items"}"#).await?.1)?;
        check_eq!(wrong, found.len(), items, "{fault} x {times}");
    }
    // The next commit has no fault.
    check_eq!(wrong, tests.post("/items", &item("walnut")).await?.status, 201, "without a fault");
    let (status, text) = tests.control("/lanes/0/commits", r#"{"fault": "fire"}"#).await?;
    check!(wrong, status == 400 && text.contains("the faults are conflict, failure, lost-after-commit"), "{text}");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}

on_each_engine!(commits_fail_on_demand);

#[tokio::test]
async fn outbound_requests_are_answered_by_a_table() -> Result {
    let tests = Running::start_with(&config(), MIGRATION, &[], &[]).await?;
    let mut wrong = Wrong::default();
    let table = json!([
        {"method": "POST", "url": WEBHOOK, "status": 503, "times": 1},
        {"method": "POST", "url": WEBHOOK, "status": 200, "body": {"ok": true}},
    ]);
    let (put, text) = tests.put_control("/lanes/0/http", table.to_string()).await?;
    check_eq!(wrong, put, 204, "{text}");
    check_eq!(wrong, tests.post("/items", &item("pecan")).await?.status, 201, "create");
    let order = tests.post("/orders", &json!({"item_id": 1, "quantity": 2})).await?;
    check_eq!(wrong, order.status, 201, "{}", order.trace);
    eventually("the first delivery has failed", async || {
        Ok(tests.trace(&order.id).await?["actions"].as_array().is_some_and(|actions| !actions.is_empty()))
    })
    .await?;
    // The second delivery is due in a second or more; an hour later it is.
    check_eq!(wrong, tests.control("/lanes/0/clock", r#"{"advance_seconds": 3600}"#).await?.0, 204, "the clock");
    eventually("the second delivery has succeeded", async || {
        Ok(tests.trace(&order.id).await?["actions"].as_array().is_some_and(|actions| actions.len() == 2))
    })
    .await?;
    let trace = tests.trace(&order.id).await?;
    let field = |name: &str| -> Vec<&Value> {
        trace["actions"].as_array().into_iter().flatten().map(|action| &action[name]).collect()
    };
    check_eq!(wrong, field("action"), [&json!("confirm"), &json!("confirm")], "{trace}");
    check_eq!(wrong, field("attempt"), [&json!(1), &json!(2)], "{trace}");
    check_eq!(wrong, field("outcome"), [&json!("rolled back"), &json!("committed")], "{trace}");
    let calls = trace["actions"][1]["events"].to_string();
    check!(wrong, calls.contains(&format!("POST {WEBHOOK}: 200")), "{trace}");
    let sent: Vec<Value> = serde_json::from_str(&tests.get("/lanes/0/http").await?)?;
    check_eq!(wrong, sent.len(), 2, "{sent:?}");
    let (url, body) = (&sent[1]["url"], sent[1]["body"].as_str().unwrap_or_default());
    check_eq!(wrong, (url, &sent[1]["answered"]), (&json!(WEBHOOK), &json!(true)), "{sent:?}");
    check_eq!(wrong, serde_json::from_str::<Value>(body)?["quantity"], 2, "{sent:?}");
    check!(wrong, sent[1]["headers"].to_string().contains("idempotency-key"), "{sent:?}");
    let (refused, text) = tests.put_control("/lanes/0/http", r#"[{"url": "x"}]"#).await?;
    check_eq!(wrong, refused, 400, "{text}");
    check_eq!(wrong, tests.end(0).await?.code, Some(0), "the end");
    Ok(())
}
