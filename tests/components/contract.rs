//! Components built for a different contract: the host rejects each of them and names the type or function that
//! differs.

use super::{refused, reloaded, serve};
use crate::support::{Result, Wrong, check, module};

/// Edits of the WIT files in `wit/` as pairs of old and new text, the imports and exports of the guest's world, and the
/// texts that the error about the component must contain.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

const READ: &str = "export read-controller";

const RESPONSE: &str = "type `response` differs: ";

const CASES: [Case<'_>; 22] = [
    // Fields of records and cases of variants.
    (
        &[("        body: body,", "")],
        READ,
        &[RESPONSE, "the component has no field `body`", "(used by `carya:host/read-controller@0.2.0`)"],
    ),
    (&[("        body: body,", "body: body, trailers: list<header>,")], READ, &[RESPONSE, "the field `trailers`"]),
    (
        &[("status: u16,\n", ""), ("headers: list<header>,", "headers: list<header>, status: u16,")],
        READ,
        &[RESPONSE, "its fields are in another order"],
    ),
    (
        &[("headers: list<header>", "fields: list<header>")],
        READ,
        &[RESPONSE, "only the component has the field `fields`", "no field `headers`"],
    ),
    (&[("status: u16,", "status: u32,")], READ, &[RESPONSE, "field `status` is u32 in the component, u16 in the host"]),
    (
        &[("headers: list<header>", "headers: option<list<header>>")],
        READ,
        &[
            RESPONSE,
            "field `headers` is option<list<tuple<string, string>>> in the component, list<`header`> in the host",
        ],
    ),
    (&[("rows(rows-query),", "rows(rows-query), nothing,")], READ, &["type `body` differs: ", "the case `nothing`"]),
    (&[("json(string),", "json(list<u8>),")], READ, &["type `body` differs: ", "case `json` is list<u8>"]),
    (
        &[("type header = tuple<string, string>", "type header = tuple<string, list<u8>>")],
        READ,
        &["type `header` differs: it is tuple<string, list<u8>> in the component, tuple<string, string> in the host"],
    ),
    (
        &[("record template {", "record template { engine: string,")],
        "export write-controller",
        &["type `template` differs: ", "the field `engine`", "`carya:host/write-controller@0.2.0`"],
    ),
    // Types that imported and exported functions use only indirectly: inside a list, option, result or handle.
    (
        &[("float64(f64),", "float64(f64), float32(f32),")],
        "export plain-controller",
        &["type `value` differs: ", "the case `float32`"],
    ),
    (
        &[("        conflict,\n", "        conflict, stale,\n")],
        READ,
        &["type `db-error-kind` differs: ", "the case `stale`", "(used by `carya:host/database@0.2.0`)"],
    ),
    (&[("retryable: bool,", "")], "export model", &["type `db-error` differs: the component has no field `retryable`"]),
    (
        &[("        read-only,\n        /// A `writer`.", "        read,")],
        "export on-route",
        &["type `access-mode` differs"],
    ),
    (&[("fault: fault,", "")], "export on-error", &["type `failure` differs", "`carya:host/on-error@0.2.0`"]),
    (&[("attempt: u32,", "attempt: u64,")], "export actions", &["type `action` differs", "`attempt` is u64"]),
    (
        &[("enum level { trace, debug, info, warn, error }", "enum level { trace, debug, info, warn, error, fatal }")],
        "import log; export plain-controller",
        &["type `level` differs", "the case `fatal`", "(used by `carya:host/log@0.2.0`)"],
    ),
    // Signatures of functions.
    (
        &[("write: func(db: writer) -> result<response, string>", "write: func(db: writer) -> response")],
        "export write-controller",
        &["function `write` of `carya:host/write-controller@0.2.0` differs: it returns a record in the component"],
    ),
    (
        &[("before: func(db: handle)", "before: func(db: handle, path: string)")],
        "export read-controller; export before",
        &[
            "function `before` of `carya:host/before@0.2.0` differs: it has 2 parameters in the component, 1 in the host",
        ],
    ),
    (
        &[(
            "query: func(sql: string, params: list<value>) -> result<rows, db-error>",
            "query: func(sql: string) -> rows",
        )],
        READ,
        &["function `[method]reader.query` of `carya:host/database@0.2.0` differs: it has 2 parameters"],
    ),
    (
        &[("header: func(name: string) -> option<string>", "header: func(name: string) -> list<string>")],
        "import request; export plain-controller",
        &["function `header` of `carya:host/request@0.2.0` differs: it returns list<string> in the component, \
             option<string> in the host"],
    ),
    (
        &[("run: func(action: action,", "perform: func(action: action,")],
        "export plain-controller; export actions",
        &["`carya:host/actions@0.2.0` is exported without the function `run`"],
    ),
];

#[tokio::test]
async fn types_that_differ_are_named_wherever_they_are() -> Result {
    let mut wrong = Wrong::default();
    for (edits, world, expected) in CASES {
        let reason = refused(&module::built_for(edits, &[], world)?).await?;
        println!("{reason}");
        check!(wrong, reason.starts_with("was built for another carya:host: "), "{edits:?}: {reason}");
        for expected in expected {
            check!(wrong, reason.contains(expected), "{edits:?}: {expected:?} is not in: {reason}");
        }
        check!(wrong, reason.len() < 600, "{edits:?} {world:?}: the error is too long: {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unchanged_contract_is_accepted() -> Result {
    let all = "import database; import request; import response; import context; import log; import config; \
               export read-controller; export write-controller; export plain-controller; export on-route; \
               export before; export after; export on-error; export model; export actions";
    let folder = tempfile::tempdir()?;
    super::write(folder.path(), super::CONFIG, &[])?;
    std::fs::write(folder.path().join("it.wasm"), module::built_for(&[], &[], all)?)?;
    let mut wrong = Wrong::default();
    for args in [["check"].as_slice(), &["inspect", "it.wasm"]] {
        let ran = super::carya().args(args).current_dir(folder.path()).output().await?;
        check!(wrong, ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(())
}

/// `inspect` lists the capabilities of a component that the host rejects, reports the problem, and exits with status 1.
#[tokio::test]
async fn inspect_lists_a_component_that_cannot_serve() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("it.wasm"), module::built_for(&[("status: u16,", "")], &[], READ)?)?;
    let inspect =
        async |args: &[&str]| super::carya().arg("inspect").args(args).current_dir(folder.path()).output().await;
    let ran = inspect(&["it.wasm"]).await?;
    let (out, err) = (String::from_utf8(ran.stdout)?, String::from_utf8(ran.stderr)?);
    assert!(out.contains("read the database as a controller") && out.contains("carya:host/types@0.2.0"), "{out}");
    let problem = err.trim_end().strip_prefix("error: ").ok_or(err.clone())?;
    let ran = inspect(&["it.wasm", "--json"]).await?;
    let found: serde_json::Value = serde_json::from_slice(&ran.stdout)?;
    assert_eq!((ran.status.code(), &found["problem"]), (Some(1), &problem.into()));
    assert!(problem.contains("type `response` differs"), "{problem}");
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_what_is_served() -> Result {
    let app = serve().await?;
    let drifted = module::built_for(&[("status: u16,", "status: u32,")], &[], READ)?;
    let message = reloaded(&app, &drifted).await?;
    assert!(
        message.contains("component.it.path: it.wasm: was built for another carya:host: type `response` differs"),
        "{message}"
    );
    assert_ne!(app.get("/items").await?.status, 503);
    assert!(!app.log.lines().iter().any(|line| line["message"] == "a new generation is served"));
    Ok(())
}
