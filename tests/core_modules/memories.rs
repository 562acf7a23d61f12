//! A core module with two memories, and the isolation of both.

use crate::support::{App, Result, Wrong, check_eq, module};

/// A controller that responds with four digits: a number in each memory, the size of the second memory, and a number in
/// the page that it adds to the second memory. Then it increments all numbers.
const COUNTING: &str = r#"(module
    (memory (export "memory") 1)
    (memory $second 1)
    (func $digit (param $at i32) (param $number i32)
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $number))))
    (func (export "carya:host/plain-controller@0.2.0#plain") (result i32)
        (local $top i32)
        (local.set $top (i32.mul (i32.const 65536) (memory.grow $second (i32.const 1))))
        (call $digit (i32.const 1024) (i32.load8_u (i32.const 4096)))
        (call $digit (i32.const 1025) (i32.load8_u $second (i32.const 4096)))
        (call $digit (i32.const 1026) (memory.size $second))
        (call $digit (i32.const 1027) (i32.load8_u $second (local.get $top)))
        (i32.store8 (i32.const 4096) (i32.add (i32.const 1) (i32.load8_u (i32.const 4096))))
        (i32.store8 $second (i32.const 4096) (i32.add (i32.const 1) (i32.load8_u $second (i32.const 4096))))
        (i32.store8 $second (local.get $top) (i32.const 7))
        ;; ok(response): the status, no headers, a body of the case text.
        (i32.store16 (i32.const 4) (i32.const 200))
        (i32.store8 (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (i32.const 1024))
        (i32.store (i32.const 24) (i32.const 4))
        (i32.const 0)))"#;

const CONFIG: &str = r#"
    [server]
    max_concurrent_requests = 4
    [component.fresh]
    path = "it.wasm"
    [component.kept]
    path = "it.wasm"
    reuse = { max_requests = 100 }
    [[route]]
    path = "/fresh"
    component = "fresh"
    transaction = "none"
    [[route]]
    path = "/kept"
    component = "kept"
    transaction = "none"
"#;

#[tokio::test]
async fn both_memories_of_a_module_are_reset_between_requests() -> Result {
    let mut wrong = Wrong::default();
    for page_scan in ["auto", "off"] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("it.wasm"), module::embed(COUNTING, "export plain-controller;")?)?;
        let app = App::start_in(folder, CONFIG, &[], &[("CARYA_SERVER__PAGE_SCAN", page_scan)]).await?;
        // With `reuse` the numbers grow, which shows that the guest finds what an earlier request has left.
        for expected in ["0020", "1130", "2240"] {
            check_eq!(wrong, app.get("/kept").await?.text(), expected, "page_scan {page_scan}, with `reuse`");
        }
        // More requests than the pool has places, so that places are used again.
        for request in 0..40 {
            check_eq!(wrong, app.get("/fresh").await?.text(), "0020", "page_scan {page_scan}, request {request}");
        }
    }
    Ok(())
}
