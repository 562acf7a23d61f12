//! Guests that reach their memory limit: `memory.grow` fails, the guest may go on, and if it does not, the error names
//! the limit.

use serde_json::json;

use crate::{
    script::{config, send},
    support::{App, Result, Wrong, check_eq, module},
};

/// Returns a hook whose `memory.grow` must fail, and which then runs the instructions `then`.
fn greedy(then: &str) -> Result<Vec<u8>> {
    let wat = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (data (i32.const 1024) "no room")
            (func (export "carya:host/after@0.2.0#after") (param i32 i32) (result i32)
                (i32.store8 (i32.const 0) (i32.const 0))
                (if (i32.ne (memory.grow (i32.const 1000)) (i32.const -1)) (then (loop $for_ever (br $for_ever))))
                {then}
                (i32.const 0)))"#
    );
    module::embed(&wat, "export after;")
}

#[tokio::test]
async fn a_guest_can_continue_after_it_was_refused_memory() -> Result {
    let error = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
        (i32.store (i32.const 8) (i32.const 7))";
    let wanted = "out of memory: 65601536 bytes requested, 1048576 allowed";
    let table = [
        ("", 200, String::new()),
        ("(unreachable)", 500, format!("component `greedy`: {wanted} (component.greedy.memory)")),
        (error, 500, format!("component `greedy` failed: no room ({wanted}: component.greedy.memory)")),
    ];
    let mut wrong = Wrong::default();
    for (then, status, why) in table {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("greedy.wasm"), greedy(then)?)?;
        let hook = "[component.greedy]\npath = 'greedy.wasm'\nmemory = '1MiB'\n[[hook]]\ncomponent = 'greedy'\n";
        let app =
            App::start_in(folder, &format!("{}{hook}", config()), &[("migrations/0001_none.sql", "SELECT 1")], &[])
                .await?;
        let answer = send(&app, "POST", &json!([])).await?;
        check_eq!(wrong, answer.status, status, "{then}: {}", answer.text());
        if status == 500 {
            app.log.wait_for(&why).await?;
        }
    }
    Ok(())
}
