//! Errors of statements, savepoints, writes through a reader, and failures of the guest.

use super::case::{Case, with_statement};
use crate::support::Engine;

pub fn cases(engine: Engine) -> Vec<Case> {
    let mut cases = statements(engine);
    cases.extend(savepoints());
    cases.extend(forced_writes());
    cases.extend(failures());
    cases
}

/// A guest that catches an error has all its fields.
fn statements(engine: Engine) -> Vec<Case> {
    let violation = |kind: &str, name: &str, columns: &str| {
        [
            r#""kind":"constraint""#.to_owned(),
            format!(r#""constraint":{{"columns":[{columns}],"kind":"{kind}","name":{name},"table":"notes"}}"#),
        ]
    };
    let mut cases = Vec::new();
    for (sql, [kind, constraint]) in [
        ("INSERT INTO notes (name) VALUES ('a'), ('a')", violation("unique", r#""notes_name""#, r#""name""#)),
        (
            "INSERT INTO notes (name, parent) VALUES ('a', 99)",
            violation("foreign-key", r#""notes_parent""#, r#""parent""#),
        ),
        ("INSERT INTO notes (name, weight) VALUES ('a', 0)", violation("check", r#""notes_weight""#, r#""weight""#)),
        ("INSERT INTO notes (name) VALUES (NULL)", violation("not-null", "null", r#""name""#)),
    ] {
        for how in ["run", "execute", "json"] {
            cases.push(Case::statement("POST", how, sql, &[]).contains(409, &[&kind, &constraint]).leaves(&[]));
        }
    }
    let other = r#""constraint":null,"#;
    cases.extend([
        Case::statement("GET", "run", "SELECT 1 FROM WHERE", &[]).contains(409, &[r#""kind":"other""#, other]),
        Case::statement("GET", "typed", "SELECT id FROM nowhere", &[]).contains(409, &[r#""kind":"other""#, "nowhere"]),
        Case::statement("GET", "first", "SELECT ?", &[]).contains(409, &[other]),
        Case::statement("GET", "run", "", &[]).contains(409, &[other]),
        Case::statement("GET", "rows", "SELECT id FROM nowhere", &[]).fails(500).logs("nowhere"),
        Case::statement("POST", "run", "COMMIT", &[]).contains(409, &[r#""kind":"forbidden""#]),
        Case::statement("GET", "run", "SELECT 1; SELECT 2", &[]).contains(409, &[other]),
    ]);
    if engine != Engine::Sqlite {
        let sql = "INSERT INTO cells (whole) VALUES (?)";
        cases.push(Case::statement("POST", "run", sql, &["text x"]).contains(409, &[r#""kind":"data""#]));
    }
    cases
}

/// An error that is caught inside a savepoint undoes only the part of the savepoint.
fn savepoints() -> Vec<Case> {
    let case = |sql: &str| Case::new("POST", with_statement("/savepoint", sql, &[]));
    vec![
        case("INSERT INTO notes (name) VALUES ('more')")
            .contains(200, &[r#""affected":1"#])
            .leaves(&["inside", "more", "outside"]),
        case("INSERT INTO notes (name) VALUES ('inside')").contains(200, &[r#""kind":"unique""#]).leaves(&["outside"]),
        case("SELECT name FROM nowhere").contains(200, &[r#""kind":"other""#]).leaves(&["outside"]),
        case("ROLLBACK").contains(200, &[r#""kind":"forbidden""#]).leaves(&["outside"]),
    ]
}

/// A statement that writes, sent by a function that reads.
fn forced_writes() -> Vec<Case> {
    let sql = "INSERT INTO notes (name) VALUES ('forced') RETURNING id, name, weight";
    let mut cases = Vec::new();
    for how in ["run", "json", "first", "typed"] {
        let refused = Case::statement("GET", how, sql, &[]).contains(409, &[r#""kind":"read-only""#]);
        cases.push(refused.leaves(&[]));
    }
    // The host runs these statements after the guest has returned.
    for how in ["rows", "csv"] {
        cases.push(Case::statement("GET", how, sql, &[]).fails(500).leaves(&[]));
    }
    cases
}

/// The note that the guest adds before each failure is rolled back.
fn failures() -> Vec<Case> {
    let case = |how: &str| Case::new("POST", format!("/fail/{how}")).leaves(&[]);
    vec![
        case("error").fails(500).logs("a failure of the guest"),
        // The message of a panic in Rust and the standard error of C are lines of their own.
        case("trap").fails(500).logs("a trap of the guest"),
        case("recursion").fails(500),
        case("statement").fails(500).logs("in `UPDATE nowhere SET name = 'x'`"),
        case("problem").returns(409, r#"{"detail":"a problem of the client","status":409,"title":"Conflict"}"#),
        case("marked").returns(204, ""),
        case("status").fails(500).logs("99"),
        case("line-break").fails(500).logs("x-name"),
        case("content-length").fails(500).logs("content-length"),
    ]
}
