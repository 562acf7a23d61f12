//! Violated constraints: the records that guests receive are the same on all engines, as far as the engines permit.

use serde_json::{Value as Json, json};
use tempfile::tempdir;

use crate::{
    harden::{Urls, apply},
    script::{ROUTE, attempt, config, kind, play, results, send, serve, serve_with, start_tables},
    support::{App, Engine, Result, Wrong, check, check_eq, eventually, on_each_engine, on_each_server, servers},
};

const TABLES: &str = "
    CREATE TABLE owners (id INTEGER PRIMARY KEY);
    CREATE TABLE items (
        id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, size INTEGER, owner INTEGER, price INTEGER,
        CONSTRAINT items_name_size UNIQUE (size, name),
        CONSTRAINT items_owner FOREIGN KEY (owner) REFERENCES owners (id),
        CONSTRAINT items_price CHECK (price > 0 AND length(name) < 40)
    );
    INSERT INTO owners VALUES (1);
    INSERT INTO items VALUES (1, 'bolt', 5, 1, 10)";

/// Runs a statement that violates a constraint and rolls it back. Returns the record `constraint` of the error.
async fn violated(app: &App, sql: &str, params: Json) -> Result<Json> {
    let got = attempt(app, "POST", json!({ "sql": sql, "op": "execute", "params": params })).await?;
    assert_eq!(kind(&got), "constraint", "{sql}: {got}");
    Ok(got["error"]["constraint"].clone())
}

fn record(kind: &str, name: Option<&str>, table: &str, columns: &[&str]) -> Json {
    json!({ "kind": kind, "name": name, "table": table, "columns": columns })
}

async fn the_same_violations_have_equal_records(engine: Engine) -> Result {
    let app = serve(engine, TABLES).await?;
    let insert = "INSERT INTO items (id, name, size, owner, price) VALUES (?, ?, ?, ?, ?)";
    let unique = record("unique", Some("items_name_size"), "items", &["size", "name"]);
    let foreign_key = record("foreign-key", Some("items_owner"), "items", &["owner"]);
    let check = record("check", Some("items_price"), "items", &["price", "name"]);
    let not_null = record("not-null", None, "items", &["name"]);
    let table = [
        (insert, json!([2, "bolt", 5, 1, 1]), &unique),
        (insert, json!([2, "nut", 5, 9, 1]), &foreign_key),
        (insert, json!([2, "nut", 5, 1, 0]), &check),
        (insert, json!([2, null, 5, 1, 1]), &not_null),
        ("UPDATE items SET name = ? WHERE id = 1", json!([null]), &not_null),
        ("UPDATE items SET price = ? WHERE id = 1", json!([-1]), &check),
        ("UPDATE items SET owner = ? WHERE id = 1", json!([7]), &foreign_key),
        ("DELETE FROM owners", json!([]), &foreign_key),
        ("UPDATE owners SET id = 2", json!([]), &foreign_key),
        ("INSERT INTO items (id, size) VALUES (2, ?)", json!([1]), &not_null),
        // The same again: the host has the constraint in its cache.
        (insert, json!([2, "bolt", 5, 1, 1]), &unique),
    ];
    let mut wrong = Wrong::default();
    for (sql, params, expected) in table {
        check_eq!(wrong, violated(&app, sql, params.clone()).await?, *expected, "{sql} {params}");
    }
    Ok(())
}

async fn keys_and_indexes_are_unique_constraints(engine: Engine) -> Result {
    let expression = match engine {
        // MariaDB has no indexes of expressions. An index of a generated column takes their place.
        Engine::MariaDb => {
            "ALTER TABLE t ADD COLUMN lower VARCHAR(20) AS (lower(word)), ADD UNIQUE t_lower (size, lower);"
        }
        Engine::Sqlite | Engine::Postgres => "CREATE UNIQUE INDEX t_lower ON t (size, (lower(word)));",
    };
    let tables = format!(
        "CREATE TABLE t (a INTEGER, b INTEGER, word VARCHAR(20), size INTEGER, PRIMARY KEY (b, a));
        CREATE UNIQUE INDEX t_word ON t (word);
        {expression}
        CREATE TABLE single (id INTEGER PRIMARY KEY);
        INSERT INTO t (a, b, word, size) VALUES (1, 2, 'x', 3);
        INSERT INTO single VALUES (1)"
    );
    let app = serve(engine, &tables).await?;
    let (key, single) = match engine {
        Engine::Sqlite => (None, None),
        Engine::Postgres => (Some("t_pkey"), Some("single_pkey")),
        Engine::MariaDb => (Some("PRIMARY"), Some("PRIMARY")),
    };
    let insert = |values: &str| format!("INSERT INTO t (a, b, word, size) VALUES ({values})");
    let lower: &[&str] = if engine == Engine::MariaDb { &["size", "lower"] } else { &["size"] };
    let table = [
        (insert("1, 2, 'y', 1"), record("unique", key, "t", &["b", "a"])),
        (insert("2, 2, 'x', 1"), record("unique", Some("t_word"), "t", &["word"])),
        (insert("2, 2, 'X', 3"), record("unique", Some("t_lower"), "t", lower)),
        ("INSERT INTO single VALUES (1)".to_owned(), record("unique", single, "single", &["id"])),
        ("UPDATE single SET id = 1 WHERE id = 1".to_owned(), Json::Null),
    ];
    let mut wrong = Wrong::default();
    for (sql, expected) in table {
        let got = attempt(&app, "POST", json!({ "sql": sql, "op": "execute" })).await?;
        // The collation of MariaDB makes `x` and `X` equal, so two keys are violated, and the server reports the first.
        let expected = match engine {
            Engine::MariaDb if sql.contains("'X'") => record("unique", Some("t_word"), "t", &["word"]),
            _ => expected,
        };
        check_eq!(wrong, got["error"]["constraint"], expected, "{sql}: {got}");
    }
    Ok(())
}

/// Returns a name in the quotes of an engine's definitions.
fn quoted(engine: Engine, name: &str) -> String {
    match engine {
        Engine::MariaDb => format!("`{}`", name.replace('`', "``")),
        Engine::Sqlite | Engine::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

async fn names_may_contain_any_character(engine: Engine) -> Result {
    let name = |name: &str| quoted(engine, name);
    let (table, parent) = (name("a \"t'.b, c` ("), name("p.q"));
    let (a, b) = (name("a.\"b"), name("it's, b"));
    let (unique, key, check) = (name("u ' for key 'x"), name("f k`.\"'), ("), name("c' is violated"));
    let tables = format!(
        "CREATE TABLE {parent} ({b} INTEGER, {a} INTEGER, PRIMARY KEY ({b}, {a}));
        CREATE TABLE {table} (
            id INTEGER PRIMARY KEY, {a} INTEGER, {b} INTEGER NOT NULL,
            CONSTRAINT {unique} UNIQUE ({b}, id),
            CONSTRAINT {key} FOREIGN KEY ({b}, {a}) REFERENCES {parent} ({b}, {a}),
            CONSTRAINT {check} CHECK ({b} < 100)
        );
        INSERT INTO {table} VALUES (1, NULL, 1)"
    );
    let app = serve(engine, &tables).await?;
    // Guests write names in standard quotes on all engines.
    let table = quoted(Engine::Sqlite, "a \"t'.b, c` (");
    let insert = format!("INSERT INTO {table} VALUES (?, ?, ?)");
    let of = |kind, name, columns: &[&str]| record(kind, name, "a \"t'.b, c` (", columns);
    let id = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some("a \"t'.b, c` (_pkey"),
        Engine::MariaDb => Some("PRIMARY"),
    };
    let cases = [
        (json!([2, 1, 1]), of("foreign-key", Some("f k`.\"'), ("), &["it's, b", "a.\"b"])),
        (json!([2, null, 100]), of("check", Some("c' is violated"), &["it's, b"])),
        (json!([2, 1, null]), of("not-null", None, &["it's, b"])),
        (json!([1, null, 2]), of("unique", id, &["id"])),
    ];
    let mut wrong = Wrong::default();
    for (params, expected) in cases {
        check_eq!(wrong, violated(&app, &insert, params.clone()).await?, expected, "{params}");
    }
    let update = format!("UPDATE {table} SET id = 1 WHERE id = 2");
    let script = json!([
        { "sql": insert, "op": "execute", "params": [2, null, 1] },
        { "sql": update, "op": "execute", "swallow": true },
        { "mark_rollback": true },
    ]);
    let got = results(&app, "POST", &script).await?;
    // Either of two keys is violated.
    let reported = &got[1]["error"]["constraint"];
    let by_name = of("unique", Some("u ' for key 'x"), &["it's, b", "id"]);
    check!(wrong, *reported == by_name || *reported == of("unique", id, &["id"]), "{got}");
    Ok(())
}

async fn values_that_imitate_messages_change_no_record(engine: Engine) -> Result {
    let tables = "CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(100) NOT NULL, CONSTRAINT t_word UNIQUE (word));
        CREATE TABLE other (word VARCHAR(100) UNIQUE)";
    let app = serve(engine, tables).await?;
    let mut wrong = Wrong::default();
    for word in [
        "x' for key 'PRIMARY",
        "x' for key 'other.word'",
        "UNIQUE constraint failed: other.word",
        "a) violates unique constraint \"other_word_key",
        "Column 'x' cannot be null",
    ] {
        let insert = |id: i64| json!({ "sql": "INSERT INTO t VALUES (?, ?)", "op": "execute", "params": [id, word], "swallow": true });
        let got = results(&app, "POST", &json!([insert(1), insert(2), { "mark_rollback": true }])).await?;
        let error = &got[1]["error"];
        check_eq!(wrong, error["constraint"], record("unique", Some("t_word"), "t", &["word"]), "{word}: {got}");
        // Messages and details are without the values of parameters.
        check!(wrong, !error.to_string().contains(word), "{word}: {got}");
    }
    Ok(())
}

async fn a_renamed_constraint_has_its_new_name(engine: Engine) -> Result {
    let unique = |name: &str| format!("CREATE TABLE t (a INTEGER, b INTEGER, CONSTRAINT {name} UNIQUE (a))");
    let app = serve(engine, &format!("{}; INSERT INTO t VALUES (1, 1)", unique("earlier"))).await?;
    let insert = "INSERT INTO t VALUES (?, ?)";
    assert_eq!(violated(&app, insert, json!([1, 2])).await?, record("unique", Some("earlier"), "t", &["a"]));
    let rename = match engine {
        Engine::Sqlite => format!("DROP TABLE t; {}; INSERT INTO t VALUES (1, 1)", unique("later")),
        Engine::Postgres => "ALTER TABLE t RENAME CONSTRAINT earlier TO later".to_owned(),
        Engine::MariaDb => "ALTER TABLE t RENAME INDEX earlier TO later".to_owned(),
    };
    app.execute(&rename).await?;
    assert_eq!(violated(&app, insert, json!([1, 2])).await?, record("unique", Some("later"), "t", &["a"]));
    app.execute("ALTER TABLE t RENAME COLUMN a TO c").await?;
    // The host caches the columns of a constraint on a server for ten seconds.
    let renamed = record("unique", Some("later"), "t", &["c"]);
    let has_changed = async || Ok(violated(&app, insert, json!([1, 2])).await? == renamed);
    match engine {
        Engine::Sqlite => assert!(has_changed().await?),
        Engine::Postgres | Engine::MariaDb => eventually("the new column", has_changed).await?,
    }
    Ok(())
}

/// On SQLite and PostgreSQL the COMMIT checks deferred constraints. An `on-error` hook turns the failure into a 409.
async fn a_hook_sees_which_constraint_the_commit_violates(engine: Engine) -> Result {
    if engine == Engine::MariaDb {
        return Ok(());
    }
    let tables = "CREATE TABLE marks (mark VARCHAR(20), CONSTRAINT marks_mark UNIQUE (mark));
        CREATE TABLE notes (
            id INTEGER PRIMARY KEY, mark VARCHAR(20),
            CONSTRAINT notes_mark FOREIGN KEY (mark) REFERENCES marks (mark) DEFERRABLE INITIALLY DEFERRED
        )";
    let hook = "[component.hook]\npath = \"{guest:only-on-error}\"\nsettings = { on_error = \"explain\" }\n\
                [[hook]]\ncomponent = \"hook\"\npriority = 99\n";
    let app = start_tables(engine, tables, &format!("{ROUTE}{hook}")).await?;
    let note = json!({ "sql": "INSERT INTO notes VALUES (1, ?)", "op": "execute", "params": ["a secret"] });
    let answer = send(&app, "POST", &json!([note])).await?;
    assert_eq!(answer.status, 409, "{}", answer.text());
    let text = answer.text();
    for part in ["Constraint", "ForeignKey", "notes_mark", "\"notes\"", "[\"mark\"]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A constraint that fails before the COMMIT reaches the hook too.
    let note = json!({ "sql": "INSERT INTO marks VALUES ('m'), ('m')", "op": "execute", "swallow": true });
    let answer = send(&app, "POST", &json!([note])).await?;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("marks_mark"), "{}", answer.text());
    Ok(())
}

/// The detail of PostgreSQL quotes rows. Guests receive it without the values of their own parameters; clients and the
/// log do not receive it.
#[tokio::test]
async fn details_reach_neither_clients_nor_the_log() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let tables =
        "CREATE TABLE t (id INTEGER PRIMARY KEY, secret TEXT, CHECK (id > 0)); INSERT INTO t VALUES (1, 'hickory')";
    let app = serve(Engine::Postgres, tables).await?;
    let update = json!({ "sql": "UPDATE t SET id = ?", "op": "execute", "params": [-1234] });
    let got = attempt(&app, "POST", update.clone()).await?;
    let detail = got["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("hickory") && !detail.contains("1234"), "{got}");
    let message = got["error"]["message"].as_str().unwrap_or_default();
    assert!(!message.contains("hickory"), "{got}");
    for script in
        [json!([update]), json!([{ "sql": update["sql"], "op": "execute", "params": [-1234], "swallow": true }])]
    {
        let answer = send(&app, "POST", &script).await?;
        assert_eq!(answer.status, 500);
        assert!(!answer.text().contains("hickory"), "{}", answer.text());
    }
    let lines = app.log.lines();
    assert!(lines.iter().any(|line| line["level"] == "ERROR"), "{lines:?}");
    let told: Vec<_> = lines.iter().filter(|line| line.to_string().contains("hickory")).collect();
    assert!(told.is_empty(), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn hints_propose_a_correction() -> Result {
    if !Engine::Postgres.is_installed() {
        return Ok(());
    }
    let app = serve(Engine::Postgres, TABLES).await?;
    let table = [
        (json!({ "sql": "SELECT nam FROM items" }), "items.name"),
        (json!({ "sql": "SELECT ? IS NULL", "params": [null] }), "?::int8"),
    ];
    let mut wrong = Wrong::default();
    for (step, part) in table {
        let got = attempt(&app, "POST", step.clone()).await?;
        check!(wrong, got["error"]["hint"].as_str().is_some_and(|hint| hint.contains(part)), "{step}: {got}");
    }
    Ok(())
}

/// Logins of guests after `carya harden` have few rights, and the host's login sees the constraints.
async fn hardened_logins_receive_complete_records(engine: Engine) -> Result {
    let Some(cluster) = servers::shared(engine).await? else { return Ok(()) };
    let database = cluster.database().await?;
    let urls = Urls::new(database.primary_url(), &database.name)?;
    let folder = tempdir()?;
    urls.configure(folder.path())?;
    database.primary()?.execute(TABLES).await?;
    apply(folder.path()).await?;
    let mut wrong = Wrong::default();
    // Without `admin_url` the login of the writers reads the catalogue. The only connection of its pool is in use.
    for (url, admin) in [(&urls.writer, Some(&urls.admin)), (&urls.admin, None)] {
        let mut env = vec![("CARYA_DATABASE__URL", &**url), ("CARYA_DATABASE__MAX_CONNECTIONS", "1")];
        env.extend(admin.map(|admin| ("CARYA_DATABASE__ADMIN_URL", &**admin)));
        let app = App::start_in(tempdir()?, &without_model(), &[], &env).await?;
        let insert = "INSERT INTO items (id, name, size, owner, price) VALUES (?, ?, ?, ?, ?)";
        let got = violated(&app, insert, json!([2, "bolt", 5, 1, 1])).await?;
        check_eq!(wrong, got, record("unique", Some("items_name_size"), "items", &["size", "name"]), "{url}");
        let got = violated(&app, insert, json!([2, "nut", 5, 1, 0])).await?;
        check_eq!(wrong, got, record("check", Some("items_price"), "items", &["price", "name"]), "{url}");
        let got = violated(&app, insert, json!([2, null, 5, 1, 0])).await?;
        check_eq!(wrong, got, record("not-null", None, "items", &["name"]), "{url}");
    }
    Ok(())
}

/// Returns the configuration of [`serve`] without migrations.
fn without_model() -> String {
    config().replace("[model]\n    migrations = \"migrations\"\n", "")
}

/// A trigger may violate a constraint of another table than the statement names. PostgreSQL reports the table.
async fn a_trigger_violates_a_constraint_of_its_own_table(engine: Engine) -> Result {
    let tables = match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER log AFTER INSERT ON t BEGIN INSERT INTO logged (id, word) VALUES (new.id, new.word); END"
        }
        Engine::MariaDb => {
            "CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW INSERT INTO logged (id, word) VALUES (new.id, new.word)"
        }
        Engine::Postgres => {
            "CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO logged (id, word) VALUES (new.id, new.word); RETURN new; END $$;
            CREATE TRIGGER log AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION log()"
        }
    };
    let tables = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(20));
        CREATE TABLE logged (id INTEGER PRIMARY KEY, word VARCHAR(20) NOT NULL);
        INSERT INTO logged VALUES (1, 'x');
        {tables}"
    );
    let app = serve(engine, &tables).await?;
    let mut wrong = Wrong::default();
    let got = violated(&app, "INSERT INTO t VALUES (?, ?)", json!([1, "y"])).await?;
    let (name, table) = match engine {
        Engine::Sqlite => (None, Some("logged")),
        Engine::Postgres => (Some("logged_pkey"), Some("logged")),
        Engine::MariaDb => (Some("PRIMARY"), None),
    };
    let columns: &[&str] = if table.is_some() { &["id"] } else { &[] };
    check_eq!(wrong, got, json!({ "kind": "unique", "name": name, "table": table, "columns": columns }), "unique");
    let got = violated(&app, "INSERT INTO t VALUES (?, ?)", json!([2, null])).await?;
    check_eq!(wrong, got, json!({ "kind": "not-null", "name": null, "table": table, "columns": ["word"] }), "not null");
    Ok(())
}

async fn values_that_do_not_fit_have_the_kind_data(engine: Engine) -> Result {
    let strict = if engine == Engine::Sqlite { " STRICT" } else { "" };
    let text = if engine == Engine::Sqlite { "TEXT" } else { "VARCHAR(3)" };
    let app =
        serve(engine, &format!("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, word {text}){strict}")).await?;
    let insert = "INSERT INTO t (id, n, word) VALUES (?, ?, ?)";
    let nan = json!({ "t": "float64", "v": "NaN" });
    let mut table =
        vec![(insert, json!([1, "x", "a"])), (insert, json!(["x", 1, "a"])), (insert, json!([1, nan, "a"]))];
    match engine {
        Engine::Sqlite => {
            table.extend([("SELECT abs(-9223372036854775807 - 1)", json!([])), ("SELECT json(?)", json!(["{"]))])
        }
        Engine::Postgres | Engine::MariaDb => table.extend([
            (insert, json!([1, 1, "abcd"])),
            (insert, json!([3_000_000_000_i64, 1, "a"])),
            ("UPDATE t SET n = 1 / 0", json!([])),
        ]),
    }
    let mut wrong = Wrong::default();
    results(&app, "POST", &json!([{ "sql": insert, "op": "execute", "params": [9, 9, "a"] }])).await?;
    for (sql, params) in table {
        let got = attempt(&app, "POST", json!({ "sql": sql, "op": "run", "params": params })).await?;
        check_eq!(wrong, kind(&got), "data", "{sql} {params}: {got}");
        check_eq!(wrong, got["error"]["constraint"], Json::Null, "{sql} {params}");
    }
    Ok(())
}

/// SQLite does not report which foreign key is violated. The host names it if only one can be violated, or if the
/// statement inserts one row.
#[tokio::test]
async fn a_foreign_key_of_sqlite_is_named_if_it_is_certain() -> Result {
    let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY);
        CREATE TABLE q (id INTEGER PRIMARY KEY);
        CREATE TABLE both (p REFERENCES p, q CONSTRAINT to_q REFERENCES q ON DELETE RESTRICT);
        INSERT INTO q VALUES (1);
        INSERT INTO both VALUES (NULL, 1)";
    let app = serve(Engine::Sqlite, tables).await?;
    let unknown = json!({ "kind": "foreign-key", "name": null, "table": null, "columns": [] });
    let (to_p, to_q) =
        (record("foreign-key", None, "both", &["p"]), record("foreign-key", Some("to_q"), "both", &["q"]));
    let insert = "INSERT INTO both VALUES (?, ?)";
    let table = [
        (insert, json!([1, 1]), &to_p),
        (insert, json!([null, 2]), &to_q),
        ("INSERT INTO both (q, p) VALUES (?, NULL) RETURNING q", json!([2]), &to_q),
        (insert, json!([1, 2]), &to_p),
        ("INSERT INTO both VALUES (?, 1), (NULL, 1)", json!([1]), &unknown),
        ("INSERT INTO both SELECT 1, 1", json!([]), &unknown),
        ("UPDATE both SET p = 9", json!([]), &to_p),
        ("UPDATE both SET q = ?", json!([9]), &to_q),
        ("DELETE FROM q", json!([]), &to_q),
    ];
    let mut wrong = Wrong::default();
    for (sql, params, expected) in table {
        check_eq!(wrong, violated(&app, sql, params.clone()).await?, *expected, "{sql} {params}");
    }
    Ok(())
}

/// `ON CONFLICT ROLLBACK` ends the transaction, so the schema cannot be read inside it. The error stays the same.
#[tokio::test]
async fn an_ended_transaction_keeps_its_error() -> Result {
    let app = serve_with(Engine::Sqlite, TABLES, "[database]\nmax_connections = 1").await?;
    let script = json!([{ "sql": "INSERT OR ROLLBACK INTO owners VALUES (1)", "op": "execute" }]);
    let answer = play(&app, "POST", "/x", &script).await?;
    assert_eq!(answer.status, 500, "{}", answer.text());
    let line = app.log.wait_for("1555").await?;
    assert!(line.to_string().contains("UNIQUE constraint failed: owners.id"), "{line}");
    assert_eq!(
        violated(&app, "INSERT INTO owners VALUES (1)", json!([])).await?,
        record("unique", None, "owners", &["id"])
    );
    Ok(())
}

on_each_engine! {
    the_same_violations_have_equal_records,
    keys_and_indexes_are_unique_constraints,
    names_may_contain_any_character,
    values_that_imitate_messages_change_no_record,
    a_renamed_constraint_has_its_new_name,
    a_hook_sees_which_constraint_the_commit_violates,
    a_trigger_violates_a_constraint_of_its_own_table,
    values_that_do_not_fit_have_the_kind_data,
}

mod hardened {
    use super::{hardened_logins_receive_complete_records, on_each_server};

    on_each_server!(hardened_logins_receive_complete_records);
}
