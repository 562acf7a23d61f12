//! `[[smoke]]`: requests that a generation must answer as configured before it is served.

use super::{CONFIG, Watched};
use crate::support::{Result, Wrong, check, check_eq};

/// Returns a configuration with one smoke request. The route of [`CONFIG`] matches its path, so the request has a
/// transaction like any other.
fn smoke(script: &str, status: &str) -> String {
    format!(
        "{CONFIG}\n[[smoke]]\nmethod = \"POST\"\npath = \"/smoke\"\nbody = '''{script}'''\nstatus = [\"{status}\"]\n"
    )
}

#[tokio::test]
async fn writes_are_rolled_back_and_actions_do_not_run() -> Result {
    let mut watched = Watched::start().await?;
    let script = r#"[{"sql":"INSERT INTO marks VALUES (?)","params":["smoke"]}, {"log":"the smoke request ran"},
        {"after_commit":"once","payload":"at most"}, {"after_commit":"sure","delivery":"at-least-once"},
        {"after_rollback":"back"}, {"sql":"SELECT count(*) FROM marks"}]"#;
    watched.put_config(&smoke(script, "200"))?;
    watched.next("the smoke request ran").await?;
    watched.served().await?;
    assert_eq!(watched.app.number("SELECT count(*) FROM marks").await?, 0);
    assert_eq!(watched.app.number("SELECT count(*) FROM carya_outbox").await?, 0);
    let lines = watched.app.log.lines();
    let ran = lines.iter().find(|line| line["message"].as_str().is_some_and(|message| message.starts_with("action ")));
    assert!(ran.is_none(), "{ran:#?}");
    // If a client sends the same request, the request is committed as usual.
    let answer = watched.app.post("/smoke", script).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(watched.app.texts("SELECT mark FROM marks").await?, ["smoke"]);
    watched.next("action sure").await?;
    Ok(())
}

/// The path of a smoke request is normalized as that of a client's request.
#[tokio::test]
async fn encoded_unreserved_characters_match_their_route() -> Result {
    let mut watched = Watched::start().await?;
    let config = CONFIG.replace("\"/{what}\"", "\"/echo\"");
    let smoke = |path: &str| format!("{config}\n[[smoke]]\npath = \"{path}\"\nstatus = [\"2xx\"]\n");
    watched.put_config(&smoke("/ech%2Fo"))?;
    let why = watched.refused().await?;
    assert!(why.contains("smoke[0]: GET /ech%2Fo answers 404"), "{why}");
    watched.put_config(&smoke("/%65ch%6F?a=%65"))?;
    watched.served().await?;
    Ok(())
}

#[tokio::test]
async fn an_unexpected_response_keeps_the_old_generation() -> Result {
    let mut watched = Watched::start().await?;
    let before = watched.page().await?;
    let table = [
        (smoke(r#"[{"answer":{"status":404}}]"#, "2xx"), "smoke[0]: POST /smoke answers 404"),
        (smoke(r#"[{"sql":"INSERT INTO nowhere VALUES (1)"}]"#, "2xx"), "answers 500 Internal Server Error: "),
        (smoke("[]", "409"), "smoke[0]: POST /smoke answers 200"),
        (smoke("[]", "2xx").replace("/smoke", "/a/b"), "smoke[0]: POST /a/b answers 404"),
        (smoke(r#"[{"panic":true}]"#, "2xx"), "answers 500"),
    ];
    let mut wrong = Wrong::default();
    for (config, reason) in table {
        watched.put_config(&config)?;
        let why = watched.refused().await?;
        check!(wrong, why.contains("carya.toml:") && why.contains(reason), "{config:?} {reason:?}: {why}");
        check_eq!(wrong, watched.page().await?, before, "{reason}");
    }
    watched.put_config(&smoke("[]", "2xx"))?;
    let id = watched.served().await?;
    // Smoke requests also run after changes of other files.
    watched.put("templates/page.html", "page two")?;
    assert_ne!(watched.served().await?, id);
    Ok(())
}

/// Configuration and files are valid, so only the smoke request can reveal that the template fails.
#[tokio::test]
async fn a_template_that_fails_when_it_is_rendered_is_found() -> Result {
    let mut watched = Watched::start().await?;
    let before = watched.page().await?;
    watched.put_config(&smoke(r#"[{"answer":{"template":{"name":"page.html","context":{}}}}]"#, "200"))?;
    watched.served().await?;
    watched.put("templates/page.html", "page {{ 1 // 0 }}")?;
    assert!(watched.refused().await?.contains("POST /smoke answers 500"));
    assert_eq!(watched.page().await?.text, before.text);
    Ok(())
}
