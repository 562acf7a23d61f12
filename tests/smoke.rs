use super::support::{App, Result};

#[tokio::test]
async fn smoke() -> Result {
    let app = App::start(
        r#"
        [component.probe]
        path = "{guest:probe}"
        [[route]]
        path = "/{what}"
        component = "probe"
        "#,
        &[],
    )
    .await?;
    let answer = app.post("/x", "[]").await?;
    assert_eq!((answer.status, answer.steps().as_str()), (200, "start, inside, commit, clear"), "{}", answer.text());
    Ok(())
}
