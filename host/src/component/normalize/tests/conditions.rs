//! Tests of the conditions under which core modules are not merged, and of the order of side effects.

use wasmparser::{ElementKind, Operator};

use super::{
    cases::{LIBRARY, check, lifted},
    *,
};

#[test]
fn keeps_the_order_of_side_effects() {
    let write = |name: &str, segments: &str| {
        format!(
            r#"(core module ${name}
                (import "library" "memory" (memory 1))
                (import "library" "table" (table 2 funcref))
                (import "library" "one" (func $one (result i32)))
                (func (export "read") (result i32) (i32.load (i32.const 0)))
                (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0)))
                (func $mine (result i32) i32.const {})
                {segments})
            (core instance ${name} (instantiate ${name} (with "library" (instance $library))))"#,
            name.len()
        )
    };
    let three = |first: &str, second: &str| {
        format!("{LIBRARY} {} {} {}", write("first", first), write("main", second), lifted(&["read", "call"]))
    };
    check(&[
        ("later data wins", three(r#"(data (i32.const 0) "1111")"#, r#"(data (i32.const 1) "22")"#), Ok(1)),
        ("later elements win", three("(elem (i32.const 0) $mine)", "(elem (i32.const 0) $one)"), Ok(1)),
        ("data that traps", three(r#"(data (i32.const 65536) "1")"#, ""), Ok(1)),
        ("elements that trap", three("(elem (i32.const 7) $mine $mine)", ""), Ok(1)),
        (
            "an empty segment behind the end",
            three(r#"(data (i32.const 65536) "")"#, "(elem (i32.const 9) func)"),
            Ok(1),
        ),
    ]);
}

/// A component of the form that `wit-component` makes: a shim, the main module, and a fixup that fills the table of the
/// shim with functions that need the memory of the main module.
fn shimmed(main: &str, fixup: &str) -> String {
    format!(
        r#"(import "print" (func $print (param "text" string)))
        (import "log" (func $log (param "number" u32)))
        (core module $shim
            (table (export "$imports") 1 1 funcref)
            (func (export "0") (param i32 i32)
                (call_indirect (param i32 i32) (local.get 0) (local.get 1) (i32.const 0))))
        (core instance $shim (instantiate $shim))
        (core func $log (canon lower (func $log)))
        (core instance $host (export "print" (func $shim "0")) (export "log" (func $log)))
        (core module $main
            (import "host" "print" (func $print (param i32 i32)))
            (import "host" "log" (func $log (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "abc")
            (func (export "a") (result i32)
                (call $print (i32.const 0) (i32.const 3))
                (call $log (i32.const 5))
                i32.const 1)
            {main})
        (core instance $main (instantiate $main (with "host" (instance $host))))
        (core func $print (canon lower (func $print) (memory $main "memory") string-encoding=utf8))
        (core instance $imports (export "$imports" (table $shim "$imports")) (export "0" (func $print)))
        (core module $fixup
            (import "" "0" (func $print (param i32 i32)))
            (import "" "$imports" (table 1 1 funcref))
            {fixup}
            (elem (i32.const 0) $print))
        (core instance (instantiate $fixup (with "" (instance $imports))))
        {}"#,
        lifted(&["a"])
    )
}

#[test]
fn keeps_modules_apart_that_need_the_component_in_between() {
    check(&[
        ("a shim and its fixup", shimmed("", ""), Ok(2)),
        ("a start function at the end", shimmed("", "(func $f) (start $f)"), Ok(2)),
        (
            "a library after the fixup moves before it",
            shimmed("", "")
                + r#"(core module $late (import "main" "memory" (memory 1)) (data (i32.const 0) "ABC"))
                     (core instance (instantiate $late (with "main" (instance $main))))"#,
            // The lifted function is a barrier.
            Ok(3),
        ),
        (
            "a library that writes to the same table stays after the fixup",
            shimmed("", "").replace(
                "(func $a (result u32)",
                r#"(core module $late
                    (import "shim" "$imports" (table 1 funcref))
                    (func $none)
                    (elem (i32.const 0) $none))
                (core instance (instantiate $late (with "shim" (instance $shim))))
                (func $a (result u32)"#,
            ),
            Ok(2),
        ),
        (
            "a library that writes to the memory joins the main module",
            shimmed("", "").replace(
                "(func $a (result u32)",
                r#"(core module $late (import "main" "memory" (memory 1)) (data (i32.const 0) "ABC"))
                (core instance (instantiate $late (with "main" (instance $main))))
                (func $a (result u32)"#,
            ),
            Ok(2),
        ),
    ]);
}

#[test]
fn leaves_components_that_do_not_fit() {
    let two = |first: &str, second: &str| {
        format!(
            r#"{LIBRARY}
            (core module $first (import "library" "one" (func $one (result i32))) {first})
            (core instance $first (instantiate $first (with "library" (instance $library))))
            (core module $main {second} (func (export "a") (result i32) i32.const 9))
            (core instance $main (instantiate $main))
            {}"#,
            lifted(&["a"])
        )
    };
    let one = format!(
        r#"(core module $main (func (export "a") (result i32) i32.const 9))
        (core instance $main (instantiate $main)) {}"#,
        lifted(&["a"])
    );
    let start = "(func $start) (start $start)";
    check(&[
        ("one module", one.clone(), Err(NotMerged::Single)),
        ("no module", String::new(), Err(NotMerged::Single)),
        ("a start function in the middle", two(start, ""), Err(NotMerged::Start)),
        ("two instances of a module", format!("{one} (core instance (instantiate $main))"), Err(NotMerged::Instances)),
        ("an exported module", format!(r#"{one} (export "m" (core module $main))"#), Err(NotMerged::Modules)),
        (
            "a module of the component around",
            format!(r#"{one} (component (core instance (instantiate (module $main))))"#),
            Err(NotMerged::Modules),
        ),
        ("a tag", two("(tag)", ""), Err(NotMerged::Proposal)),
        ("a struct", two("(type (struct))", ""), Err(NotMerged::Proposal)),
        (
            "a type that mentions another one",
            two("(type $t (func)) (type (func (param (ref null $t))))", ""),
            Err(NotMerged::Proposal),
        ),
        ("a start function at the end", two("", start), Ok(2)),
    ]);
}

#[test]
fn keeps_items_that_other_modules_share() {
    // The fixup cannot join the main module, and imports all kinds of items from it.
    let text = shimmed(
        r#"(global (export "variable") (mut i32) (i32.const 3)) (global (export "constant") i32 (i32.const 2))
        (table (export "table") 2 funcref)
        (func (export "b") (result i32) (call_indirect (result i32) (i32.const 0)))"#,
        r#"(import "main" "variable" (global $variable (mut i32))) (import "main" "constant" (global $constant i32))
        (import "main" "table" (table $table 2 funcref)) (import "main" "memory" (memory 1))
        (func $f (result i32)
            (global.set $variable (i32.add (global.get $variable) (global.get $constant)))
            (i32.store (i32.const 0) (i32.const 6513249))
            global.get $variable)
        (elem (table $table) (i32.const 0) func $f)"#,
    );
    let text = text.replace(r#"$fixup (with "" "#, r#"$fixup (with "main" (instance $main)) (with "" "#);
    check(&[("a fixup", text + &lifted(&["b"]), Ok(2))]);
}

#[test]
fn rejects_malformed_components() {
    for bytes in [&b"no component"[..], b"", &wasm_encoder::Module::new().finish()] {
        assert!(normalize(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn offsets_become_constants() {
    let text = format!(
        r#"(component {LIBRARY}
        (core module $main
            (import "library" "base" (global $base i32))
            (import "library" "table" (table 1 funcref))
            (global $next i32 (i32.add (global.get $base) (i32.const 1)))
            (elem (i32.add (global.get $base) (i32.const 2)) $f)
            (func $f (export "a") (result i32) (global.get $next)))
        (core instance $main (instantiate $main (with "library" (instance $library))))
        {})"#,
        lifted(&["a"])
    );
    let merged = wat::parse_str(&text).map(|original| normalize(&original)).expect("valid").expect("two modules");
    let mut elements = Vec::new();
    for section in Parser::new(0).parse_all(&merged).map_while(Result::ok) {
        let Payload::ElementSection(section) = section else { continue };
        for element in section.into_iter().map_while(Result::ok) {
            let ElementKind::Active { offset_expr, .. } = element.kind else { continue };
            elements.push(offset_expr.get_operators_reader().read().expect("valid"));
        }
    }
    assert_eq!(elements, [Operator::I32Const { value: 0 }, Operator::I32Const { value: 6 }]);
}
