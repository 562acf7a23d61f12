//! `guest/c/carya_guest.h`: the macros that no example uses, and a handle that is used for another one.

use std::collections::BTreeSet;

use super::c::{compile_with_library, file, has_clang};
use crate::support::{App, Result};

const CONFIG: &str = r#"
    [component.notes]
    path = "notes.wasm"
    warm = { path = "/random" }
    [[route]]
    path = "/random"
    component = "notes"
    [[route]]
    path = "/forced"
    component = "notes"
    [[route]]
    path = "/plain"
    methods = ["OPTIONS"]
    component = "notes"
    [[route]]
    path = "/echo"
    component = "notes"
    transaction = "none"
"#;

#[tokio::test]
async fn a_guest_in_c_serves_without_a_transaction_and_seeds_its_random_numbers() -> Result {
    if !has_clang() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    compile_with_library(&file("library.c"), folder.path())?;
    let app = App::start_in(folder, CONFIG, &[], &[]).await?;
    assert_eq!(app.call("OPTIONS", "/plain").await?.text(), r#"{"access":0}"#);
    let echo = app.post("/echo", "Nüsse").await?;
    assert_eq!(echo.text(), "Nüsse");
    assert_eq!(echo.events().join(" "), "start clear controller:notes clear", "no transaction begins");
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        seen.insert(app.get("/random").await?.text());
    }
    assert_eq!(seen.len(), 3, "instances of a warm image: {seen:?}");
    // The number of a reader as that of a writer is no handle of this type.
    let forced = app.get("/forced").await?;
    assert_eq!(forced.status, 500, "{}", forced.text());
    app.log.wait_for("component `notes` trapped").await?;
    Ok(())
}
