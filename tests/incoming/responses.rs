//! Which responses are sent, and which fail the request. A failed request is rolled back.

use super::{INSERT, run, start, take_rows};
use crate::support::{Result, Wrong, check, check_eq};

/// Script after the insertion of a row, status, and text in the body of a success or in the log of a failure.
const CASES: [(&str, u16, &str); 26] = [
    ("head 201|set|write hi|finish", 201, "hi"),
    ("head 200|write hi|set|finish", 200, "hi"),
    ("head 200|write a|set|write b|finish", 200, "ab"),
    ("head 200 content-length=2|set|write hi|finish", 200, "hi"),
    ("head 204 nobody|set", 204, ""),
    ("head 404|set|write no|finish", 404, "no"),
    // The result of the call decides, also after a complete body.
    ("head 200|set|write hi|finish|trap", 500, "component `it` trapped"),
    ("head 200|set|write hi|trap", 500, "component `it` trapped"),
    ("head 200|set|write hi|finish|spin", 504, "component `hasty` did not answer within 500ms"),
    // No response.
    ("", 500, "component `it` failed: it returned without setting its `response-outparam`"),
    ("forget", 500, "component `it` failed: it returned without setting its `response-outparam`"),
    ("error my words", 500, "component `it` failed: my words"),
    ("error", 500, "component `it` failed: it set its response to the error ErrorCode::InternalError(None)"),
    ("head 200|again|set", 500, "component `it` trapped: unknown handle index"),
    // The length.
    (
        "head 200 content-length=10|set|write four|finish",
        500,
        "`content-length` of its response is \"10\", but the body has 4 bytes",
    ),
    (
        "head 200 content-length=2|set|write four|finish",
        500,
        "`content-length` of its response is \"2\", but the body has 4 bytes",
    ),
    (
        "head 200 content-length=4 nobody|set",
        500,
        "`content-length` of its response is \"4\", but the body has 0 bytes",
    ),
    ("head 200|set|fill 20000000|finish", 500, "server.max_response allows 16777216"),
    // Until the response is set, the host does not drain its body.
    ("head 200|fill 10000000|set|finish", 504, "it had not set its `response-outparam`, and until then"),
    // The end of the body.
    (
        "head 200|set|write hi|leak",
        500,
        "component `it` failed: it returned without finishing the body of its response",
    ),
    ("head 200|set|write hi|drop", 500, "component `it` failed: the body of its response was dropped before its end"),
    ("head 200|set|write hi|trailers", 200, "hi"),
    // Statuses and header fields.
    ("head 103|set|finish", 500, "103 is not a status from 200 to 599"),
    ("head 600|set|finish", 500, "600 is not a status from 200 to 599"),
    ("head 200 te=x|set|finish", 500, "the header \"te\" is set by the host"),
    ("head 200 connection=close|set|finish", 500, "HeaderError::Forbidden"),
];

#[tokio::test]
async fn the_result_of_the_call_and_a_complete_body_commit() -> Result {
    let app = start("", &[]).await?;
    let mut wrong = Wrong::default();
    for (script, status, text) in CASES {
        let from = app.log.lines().len();
        let (path, component) = if status == 504 { ("/hasty", "hasty") } else { ("/x", "it") };
        let answer = run(&app, "POST", path, &format!("{INSERT}|{script}")).await?;
        check_eq!(wrong, answer.status, status, "{script}");
        check_eq!(wrong, take_rows(&app).await?, i64::from(status < 400), "{script}");
        let commits = if status < 400 { "commit" } else { "rollback" };
        check_eq!(
            wrong,
            answer.events().join(" "),
            format!("start controller:{component} begin {commits} clear"),
            "{script}"
        );
        if status < 500 {
            check_eq!(wrong, answer.text(), text, "{script}");
        } else {
            let line = app.log.wait_until(text, |line| line.to_string().replace("\\\"", "\"").contains(text)).await;
            check!(wrong, line.is_ok(), "{script}: {:?}", &app.log.lines()[from..]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_long_body_is_drained_while_the_guest_runs() -> Result {
    let app = start("", &[]).await?;
    let answer = run(&app, "POST", "/x", "head 200|set|fill 10000000|finish").await?;
    assert_eq!((answer.status, answer.body.len()), (200, 10_000_000));
    assert_eq!(answer.header("content-length"), "10000000");
    Ok(())
}

#[tokio::test]
async fn header_fields_are_passed_on_and_trailers_are_logged() -> Result {
    let app = start("", &[("CARYA_LOG", "debug")]).await?;
    let head = "head 200 set-cookie=a=1 set-cookie=b=2 x-word=é date=never content-length=2";
    let answer = run(&app, "GET", "/x", &format!("{head}|set|write hi|trailers")).await?;
    assert_eq!((answer.status, &*answer.text()), (200, "hi"));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.headers["x-word"].as_bytes(), "é".as_bytes());
    assert!(answer.header("content-type").is_empty() && answer.header("date").ends_with("GMT"));
    assert!(answer.header("x-sum").is_empty());
    let logged = app.log.wait_for("the trailers of the response were dropped").await?;
    assert_eq!((&logged["level"], &logged["component"]), (&"DEBUG".into(), &"it".into()));
    Ok(())
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_of_the_body_that_it_leaves_out() -> Result {
    let app = start("", &[]).await?;
    let mut wrong = Wrong::default();
    // Status and `content-length` of HEAD, and status of GET.
    for (script, status, length, get) in [
        ("head 200 content-length=10|set|finish", 200, "10", 500),
        ("head 200 content-length=10 nobody|set", 200, "10", 500),
        ("head 200 content-length=4294967296 nobody|set", 200, "4294967296", 500),
        ("head 404 content-length=2|set|finish", 404, "2", 500),
        // Without a body and its length, the length of GET is unknown.
        ("head 200 nobody|set", 200, "", 200),
        ("head 200|set|finish", 200, "", 200),
        ("head 200|set|write four|finish", 200, "4", 200),
        ("head 200 content-length=4|set|write four|finish", 200, "4", 200),
        ("head 204 content-length=10 nobody|set", 204, "", 500),
    ] {
        let answer = run(&app, "HEAD", "/x", script).await?;
        check_eq!(wrong, (answer.status, answer.header("content-length")), (status, length), "{script}");
        check_eq!(wrong, answer.body.len(), 0, "{script}");
        check_eq!(wrong, run(&app, "GET", "/x", script).await?.status, get, "{script}");
    }
    Ok(())
}
