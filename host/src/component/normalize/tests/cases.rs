//! Tests of components whose core modules are merged.

use super::*;

/// A library with a memory, a table and globals, as linkers of shared libraries make it.
pub(super) const LIBRARY: &str = r#"
    (core module $library
        (memory (export "memory") 1)
        (table (export "table") 8 funcref)
        (global (export "base") i32 (i32.const 4))
        (global $count (export "count") (mut i32) (i32.const 10))
        (elem (i32.const 0) $one $count)
        (data (i32.const 0) "library!")
        (func $one (export "one") (result i32) i32.const 1)
        (func $count (export "next") (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            global.get $count))
    (core instance $library (instantiate $library))
"#;

/// Lifts the exports `names` of the core instance `$main`.
pub(super) fn lifted(names: &[&str]) -> String {
    let lift = |name: &&str| {
        format!(
            r#"(func ${name} (result u32) (canon lift (core func $main "{name}")))
               (export "{name}" (func ${name}))"#
        )
    };
    names.iter().map(lift).collect()
}

/// Checks the number of core modules that are left, or the reason why the component stays.
pub(super) fn check(cases: &[(&str, String, Result<usize, NotMerged>)]) {
    let engine = engine();
    for (name, text, expected) in cases {
        assert_eq!(normalized(&engine, &format!("(component {text})")), *expected, "{name}");
    }
}

#[test]
fn merges_modules_that_share_items() {
    let main = |body: &str, names: &[&str]| {
        format!(
            r#"{LIBRARY}
            (core module $main
                (import "library" "memory" (memory 1))
                (import "library" "table" (table $table 2 funcref))
                (import "library" "base" (global $base i32))
                (import "library" "count" (global $count (mut i32)))
                (import "library" "one" (func $one (result i32)))
                (import "library" "next" (func $next (result i32)))
                {body})
            (core instance $main (instantiate $main
                (with "library" (instance $library))
                (with "again" (instance $library))))
            {}"#,
            lifted(names)
        )
    };
    check(&[
        (
            "calls in both directions, through an import and through the table",
            main(
                r#"(elem (i32.const 2) $back)
                (func $back (result i32) (i32.add (call $next) (i32.const 100)))
                (func (export "a") (result i32) (call_indirect (result i32) (i32.const 1)))
                (func (export "b") (result i32) (call_indirect (result i32) (i32.const 2)))
                (func (export "c") (result i32) (i32.add (call $one) (global.get $count)))"#,
                &["a", "b", "c"],
            ),
            Ok(1),
        ),
        (
            "offsets from globals, and arithmetic on them",
            main(
                r#"(global $mine i32 (i32.sub (i32.add (global.get $base) (i32.const 3)) (i32.const 2)))
                (elem (global.get $base) $late)
                (elem (i32.mul (global.get $base) (i32.const 1)) $later)
                (data (global.get $base) "main")
                (data (i32.add (global.get $base) (i32.const 1)) "AIN")
                (func $late (result i32) i32.const 7)
                (func $later (result i32) i32.const 8)
                (func (export "a") (result i32) (i32.load (i32.const 0)))
                (func (export "b") (result i32) (i32.load (i32.const 4)))
                (func (export "c") (result i32) (call_indirect (result i32) (i32.const 4)))
                (func (export "d") (result i32) (global.get $mine))"#,
                &["a", "b", "c", "d"],
            ),
            Ok(1),
        ),
        (
            "passive segments",
            main(
                r#"(elem $elements func $one $next)
                (data $data "passive")
                (data (i32.const 7) "?")
                (elem (i32.const 3) $one)
                (func (export "a") (result i32)
                    (memory.init $data (i32.const 100) (i32.const 1) (i32.const 5))
                    (data.drop $data)
                    (table.init $table $elements (i32.const 5) (i32.const 0) (i32.const 2))
                    (elem.drop $elements)
                    (i32.load (i32.const 100)))
                (func (export "b") (result i32) (call_indirect (result i32) (i32.const 6)))
                (func (export "c") (result i32)
                    (memory.init $data (i32.const 0) (i32.const 0) (i32.const 1))
                    i32.const 0)"#,
                &["a", "b", "c"],
            ),
            Ok(1),
        ),
        (
            "a function that only an export declares",
            main(
                r#"(table $mine (export "mine") 1 funcref)
                (func $declared (export "declared") (result i32) i32.const 3)
                (func (export "a") (result i32)
                    (table.set $mine (i32.const 0) (ref.func $declared))
                    (call_indirect $mine (result i32) (i32.const 0)))"#,
                &["a"],
            ),
            Ok(1),
        ),
        (
            "items that are imported twice, with other limits",
            main(
                r#"(import "again" "memory" (memory $again 0))
                (import "again" "table" (table $again 1 funcref))
                (import "again" "next" (func $again (result i32)))
                (func (export "a") (result i32) (i32.load $again (i32.const 0)))
                (func (export "b") (result i32) (i32.add (call $again) (table.size $again)))
                (func (export "c") (result i32)
                    (i32.store8 (i32.const 1) (i32.const 0))
                    (i32.load $again (i32.const 0)))"#,
                &["a", "b", "c"],
            ),
            Ok(1),
        ),
        (
            "two names for one item",
            main(
                r#"(export "memory" (memory 0))
                (func (export "a") (export "b") (result i32) (call $next))"#,
                &["a", "b"],
            ),
            Ok(1),
        ),
    ]);
}

#[test]
fn merges_components_in_components() {
    let library = format!(
        r#"(component $inner
            {LIBRARY}
            (core module $main (import "library" "one" (func (result i32))) (export "a" (func 0)))
            (core instance $main (instantiate $main (with "library" (instance $library))))
            {})
        (instance $inner (instantiate $inner))"#,
        lifted(&["a"])
    );
    let outer = r#"(export "a" (func $inner "a"))"#;
    let twice = r#"(instance $again (instantiate $inner)) (export "b" (func $again "a"))"#;
    let main = format!(
        r#"(core module $one (func (export "b") (result i32) i32.const 5))
        (core instance $one (instantiate $one))
        (core module $main (import "one" "b" (func $b (result i32))) (export "b" (func $b)))
        (core instance $main (instantiate $main (with "one" (instance $one))))
        {}"#,
        lifted(&["b"])
    );
    let start = "(component (core module $m (func $f) (start $f)) (core instance (instantiate $m)))";
    check(&[
        ("inside", format!("{library} {outer}"), Ok(1)),
        ("inside, with two instances of the component", format!("{library} {outer} {twice}"), Ok(1)),
        ("inside and outside", format!(r#"{library} {outer} {main} (@custom "routes" "GET /")"#), Ok(2)),
        ("only outside", format!("{start} {main}"), Ok(2)),
        ("nowhere", start.to_owned(), Err(NotMerged::Start)),
    ]);
}

#[test]
fn merges_all_kinds_of_items() {
    let two = |first: &str, second: &str| {
        format!(
            r#"(core module $first {first})
            (core instance $first (instantiate $first))
            (core module $main {second})
            (core instance $main (instantiate $main (with "first" (instance $first))))
            {}"#,
            lifted(&["a"])
        )
    };
    check(&[
        (
            "64-bit memories and tables",
            two(
                r#"(memory (export "memory") i64 1) (data (i64.const 3) "xyz") (global (export "at") i64 (i64.const 4))
                (table (export "table") i64 3 funcref)"#,
                r#"(import "first" "memory" (memory i64 1)) (import "first" "at" (global $at i64))
                (import "first" "table" (table i64 3 funcref))
                (data (i64.add (global.get $at) (i64.const 1)) "!")
                (elem (i64.sub (global.get $at) (i64.const 2)) $f)
                (func $f (result i32) (i32.load (i64.const 3)))
                (func (export "a") (result i32) (call_indirect (result i32) (i64.const 2)))"#,
            ),
            Ok(1),
        ),
        (
            "several memories and tables",
            two(
                r#"(memory (export "memory") 1) (data (i32.const 0) "first") (table (export "table") 1 funcref)"#,
                r#"(import "first" "memory" (memory $other 1)) (import "first" "table" (table $other 1 funcref))
                (memory $mine 1) (table $mine 1 funcref)
                (data (memory $mine) (i32.const 4) "second") (data (memory $other) (i32.const 4) "third")
                (elem (table $mine) (i32.const 0) func $f) (elem (table $other) (i32.const 0) func $g)
                (func $f (result i32) (memory.copy $mine $other (i32.const 0) (i32.const 4) (i32.const 2)) i32.const 0)
                (func $g (result i32) (i32.load $mine (i32.const 1)))
                (func (export "a") (result i32)
                    (i32.add
                        (call_indirect $mine (result i32) (i32.const 0))
                        (call_indirect $other (result i32) (i32.const 0))))"#,
            ),
            Ok(1),
        ),
        (
            "globals of all types",
            two(
                r#"(func $f (export "f") (result i32) i32.const 8)
                (global (export "f32") f32 (f32.const 1.5)) (global (export "f64") f64 (f64.const 2.5))
                (global (export "v128") v128 (v128.const i32x4 1 2 3 4))
                (global (export "ref") funcref (ref.func $f)) (global (export "null") funcref (ref.null func))"#,
                r#"(import "first" "f32" (global $f32 f32)) (import "first" "f64" (global $f64 f64))
                (import "first" "v128" (global $v128 v128)) (import "first" "ref" (global $ref funcref))
                (import "first" "null" (global $null funcref))
                (global $my32 f32 (global.get $f32)) (global $my64 f64 (global.get $f64))
                (global $my128 v128 (global.get $v128))
                (table $table 4 funcref)
                (elem (table $table) (i32.const 1) funcref (global.get $ref) (global.get $null))
                (func (export "a") (result i32)
                    (i32.add (call_indirect (result i32) (i32.const 1)) (ref.is_null (table.get (i32.const 2))))
                    (i32.trunc_f32_s (f32.mul (global.get $my32) (f32.const 100)))
                    i32.add
                    (i32.trunc_f64_s (f64.mul (global.get $my64) (f64.const 1000)))
                    i32.add
                    (i32x4.extract_lane 2 (global.get $my128))
                    i32.add)"#,
            ),
            Ok(1),
        ),
        (
            "a trap, with the names of both functions",
            two(
                r#"(func $first_of_all (export "f") (result i32) unreachable)"#,
                r#"(import "first" "f" (func $f (result i32))) (func $second (export "a") (result i32) (call $f))"#,
            ),
            Ok(1),
        ),
    ]);
}
