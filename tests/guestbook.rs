//! The guestbook in C, `guest-examples/guestbook-c`: hooks of all phases, a form, a savepoint, actions and `init`.

use std::{fs, path::Path};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::{
    languages,
    support::{App, Engine, Response, Result, Wrong, check_eq, eventually, guest, on_each_engine},
};

/// Serves the guestbook. Returns `None` if it was not built.
async fn open(engine: Engine) -> Result<Option<App>> {
    if !languages::is_built("guestbook-c") {
        return Ok(None);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/guestbook-c");
    let config = fs::read_to_string(folder.join("carya.toml"))?;
    let config = config.replace("../dist/guestbook-c.wasm", &guest("guestbook-c").display().to_string());
    let migration = fs::read_to_string(folder.join("migrations/0001_entries.sql"))?;
    Ok(Some(App::start_on(engine, &config, &[("migrations/0001_entries.sql", &migration)]).await?))
}

/// Sends a form with an entry of the pecan.
async fn sign(app: &App, headers: &[(&str, &str)], form: &str) -> Result<Response> {
    let form_type = [("x-author", "pecan"), ("content-type", "application/x-www-form-urlencoded")];
    let mut map = HeaderMap::new();
    for (name, value) in form_type.iter().chain(headers) {
        map.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    app.send("POST", "/entries", map, form.to_owned()).await
}

async fn an_entry_is_replaced_after_a_savepoint_and_thanked_for(engine: Engine) -> Result {
    let Some(app) = open(engine).await? else { return Ok(()) };
    let first = json!({ "author": "carya", "message": "Welcome!", "picture": null, "thanks": 0 });
    assert_eq!(app.get("/entries").await?.json()?, json!([first]), "the entry of `init`");

    let picture = "--x\r\ncontent-disposition: form-data; name=\"message\"\r\n\r\nGrüße\r\n\
                   --x\r\ncontent-disposition: form-data; name=\"picture\"; filename=\"tree.png\"\r\n\r\n\u{1}\r\n--x--\r\n";
    for (content_type, form, message, picture) in [
        ("application/x-www-form-urlencoded", "message=Hello+%231", "Hello #1", json!(null)),
        ("multipart/form-data; boundary=x", picture, "Grüße", json!("tree.png")),
    ] {
        let signed = sign(&app, &[("content-type", content_type)], form).await?;
        assert_eq!((signed.status, signed.header("location")), (303, "/entries"), "{}", signed.text());
        assert_eq!(signed.header("x-seen"), "pecan", "the identity of the hook `before`, in the hook `after`");
        let thanked = json!([first, { "author": "pecan", "message": message, "picture": picture, "thanks": 1 }]);
        eventually("the action has run", async || Ok(app.get("/entries").await?.json()? == thanked)).await?;
    }
    Ok(())
}

async fn hooks_refuse_and_explain(engine: Engine) -> Result {
    let Some(app) = open(engine).await? else { return Ok(()) };
    let mut wrong = Wrong::default();
    // A header field, the form, the status, and the detail of the problem if it is that of the guest.
    let cases = [
        (("user-agent", "robot"), "message=x", 403, Some("no robots")),
        (("content-type", "text/plain"), "message=x", 415, None),
        (("content-type", "multipart/form-data; boundary=x"), "message=x", 400, None),
        (("accept", "*/*"), "massage=x", 422, Some("an entry needs a message")),
        (("accept", "*/*"), "message=a!!!", 422, Some("the entry violates the rule no_shouting")),
        (("x-dry-run", "1"), "message=x", 500, None),
    ];
    for (header, form, status, detail) in cases {
        let answer = sign(&app, &[header], form).await?;
        check_eq!(wrong, answer.status, status, "{header:?} {form}: {}", answer.text());
        if let Some(detail) = detail {
            check_eq!(wrong, answer.json()?["detail"].as_str(), Some(detail), "{header:?} {form}");
        }
    }
    let unknown = app.post("/entries", "message=x").await?;
    check_eq!(wrong, (unknown.status, unknown.header("x-seen")), (401, ""), "no identity");
    check_eq!(wrong, app.number("SELECT count(*) FROM entries").await?, 1, "no refused entry was stored");
    // The action after the rollback, and the error of the handle that only reads.
    app.log.wait_for("no entry by pecan").await?;
    app.log.wait_for("this request only reads: its handle cannot write").await?;
    Ok(())
}

on_each_engine!(an_entry_is_replaced_after_a_savepoint_and_thanked_for, hooks_refuse_and_explain);
