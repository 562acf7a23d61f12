//! `carya check` and `carya routes`: both list the parts of an application, and report all faults, each with the part
//! and the line of the configuration.

use insta::assert_snapshot;

use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteLockingMode},
};

use super::{
    super::support::{Engine, Result, Wrong, check_eq, on_each_engine, servers, write},
    run,
};

const GOOD: &str = r#"
[database]
url = "sqlite://app.sqlite"
[model]
migrations = "migrations"
[component.items]
path = "{guest:items}"
[component.reads]
path = "{guest:reads-only}"
[component.before]
path = "{guest:only-before}"
[component.audit]
path = "{guest:audit}"
[[hook]]
component = "before"
priority = 10
[[route]]
path = "/items/{id}"
component = "items"
hooks = [{ component = "audit", priority = 150 }]
[[route]]
path = "/reads"
component = "reads"
"#;

const TABLE: [(&str, &str); 1] = [("migrations/0001_first_table.sql", "CREATE TABLE a (x);")];

#[tokio::test]
async fn check_lists_the_application_and_creates_no_database() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), GOOD, &TABLE)?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    // The digests change with every build of the guests.
    let is_digest = |word: &str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let plain = ran.out.lines().map(|line| match line.rsplit_once(' ') {
        Some((rest, digest)) if is_digest(digest) => format!("{rest} DIGEST"),
        _ => line.to_owned(),
    });
    assert_snapshot!(plain.collect::<Vec<_>>().join("\n"), @r#"
    carya.toml: good
    components
      audit                DIGEST
      before               DIGEST
      items                DIGEST
      reads                DIGEST
    routes
      /items/{id}              before > [transaction] > audit > items
        GET read-only
        PUT read-write
        DELETE read-write
      /reads                   before > [transaction] > reads
        GET read-only
    database default
      pending migrations   ["0001_first_table"]
      state                the file will be created
      url                  sqlite://app.sqlite
    "#);
    assert!(!folder.path().join("app.sqlite").exists());
    Ok(())
}

#[tokio::test]
async fn check_as_json() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), GOOD, &TABLE)?;
    let mut found = run(folder.path(), &["check", "--json"]).await?.json()?;
    for component in found["components"].as_array_mut().into_iter().flatten() {
        assert_eq!(component["digest"].as_str().map(str::len), Some(64));
        component["digest"] = "DIGEST".into();
    }
    assert_snapshot!("check", format!("{found:#}"));
    let routes = run(folder.path(), &["routes", "--json"]).await?;
    assert_eq!((routes.code, routes.json()?), (Some(0), found["routes"].take()));
    Ok(())
}

#[tokio::test]
async fn routes_need_no_database() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), GOOD, &TABLE)?;
    let ran = run(folder.path(), &["routes"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @r"
    routes
      /items/{id}              before > [transaction] > audit > items
        GET read-only
        PUT read-write
        DELETE read-write
      /reads                   before > [transaction] > reads
        GET read-only
    ");
    Ok(())
}

/// A single run reports all faults of an application.
#[tokio::test]
async fn reports_wrong_parts_with_component_route_export_and_line() -> Result {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        r#"
[database]
url = "sqlite:app.sqlite"
[model]
component = "none"
migrations = "gone"
[templates]
folder = "templates"
[component.gone]
path = "gone.wasm"
[component.unbuilt]
path = "unbuilt.wasm"
build = "make unbuilt"
source = "."
[component.text]
path = "text.wasm"
[component.core]
path = "core.wasm"
[component.cut]
path = "cut.wasm"
[component.none]
path = "{guest:no-exports}"
[component.reads]
path = "{guest:reads-only}"
[component.early]
path = "{guest:only-on-route}"
[[hook]]
component = "none"
[[route]]
path = "/posts"
component = "reads"
methods = ["GET", "POST"]
[[route]]
path = "/nothing"
component = "none"
[[route]]
path = "/writes"
component = "reads"
transaction = "read-write"
[[route]]
path = "/plain"
component = "reads"
transaction = "none"
[[route]]
path = "/hooked"
component = "reads"
hooks = ["early", "reads"]
"#,
        &[
            ("templates/a.html", "{% if %}"),
            ("templates/b.html", "{{ x "),
            ("text.wasm", "not wasm"),
            ("core.wasm", "\0asm\x01\0\0\0"),
            ("cut.wasm", "\0asm\x0d\0\x01\0\x07"),
        ],
    )?;
    let mut wrong = Wrong::default();
    for command in ["check", "routes", "serve"] {
        let ran = run(folder.path(), &[command]).await?;
        check_eq!(wrong, (ran.code, ran.out.as_str()), (Some(1), ""), "{command}: {ran:?}");
        insta::allow_duplicates! {
            assert_snapshot!(ran.err, @r#"
            error: carya.toml:5: model.component: component `none` does not export carya:host/model@0.2.0
            carya.toml:6: model.migrations: migrations in gone: No such file or directory (os error 2); create the folder, or correct the path
            carya.toml:8: templates.folder: template templates/a.html: syntax error: unexpected end of block (in a.html:1)
            carya.toml:8: templates.folder: template templates/b.html: syntax error: unexpected end of input, expected end of variable block (in b.html:1)
            carya.toml:10: component.gone.path: gone.wasm does not exist; build it, for example with `cargo build --release --target wasm32-wasip2`, or correct the path
            carya.toml:12: component.unbuilt.path: unbuilt.wasm does not exist; build it with `make unbuilt`, or run `carya dev`, which builds it
            carya.toml:16: component.text.path: text.wasm: this is not a WebAssembly file
            carya.toml:18: component.core.path: core.wasm: this is a core module without the WIT of its world, not a component; build it for the target wasm32-wasip2, or with wit-bindgen
            carya.toml:20: component.cut.path: cut.wasm: it cannot be compiled: failed to parse WebAssembly module: unexpected end-of-file (at offset 0x9)
            carya.toml:27: hook[0]: component `none` exports no hook phase (on-route, before, after, on-error of carya:host)
            carya.toml:31: route[0].component: POST /posts is read-write, for which component `reads` would have to export carya:host/write-controller@0.2.0
            carya.toml:35: route[1].component: component `none` does not export carya:host/read-controller@0.2.0 or carya:host/write-controller@0.2.0, which /nothing needs
            carya.toml:38: route[2].component: component `reads` does not export carya:host/write-controller@0.2.0, which /writes needs
            carya.toml:42: route[3].component: component `reads` does not export carya:host/plain-controller@0.2.0, which /plain needs
            carya.toml:47: route[4].hooks[0]: component `early` exports only on-route, which runs before routing; make it a global [[hook]]
            carya.toml:47: route[4].hooks[1]: component `reads` exports no hook phase (on-route, before, after, on-error of carya:host)
            "#);
        }
    }
    Ok(())
}

#[tokio::test]
async fn check_reads_a_database_without_changing_it() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), GOOD, &TABLE)?;
    let path = folder.path().join("app.sqlite");
    let state = async || -> Result<String> {
        let ran = run(folder.path(), &["check", "--json"]).await?;
        Ok(if ran.code == Some(0) { ran.json()?["databases"]["default"].to_string() } else { ran.err })
    };

    // An empty file is an empty database.
    std::fs::write(&path, "")?;
    assert_snapshot!(state().await?, @r#"{"pending migrations":["0001_first_table"],"state":"reachable","url":"sqlite://app.sqlite"}"#);
    assert_eq!(std::fs::read(&path)?, b"");

    assert_eq!(run(folder.path(), &["migrate"]).await?.code, Some(0));
    write(folder.path(), GOOD, &[("migrations/0002_more.sql", "CREATE TABLE b (x);")])?;
    assert_snapshot!(state().await?, @r#"{"pending migrations":["0002_more"],"state":"reachable","url":"sqlite://app.sqlite"}"#);

    write(folder.path(), GOOD, &[("migrations/0001_first_table.sql", "CREATE TABLE other (x);")])?;
    assert_snapshot!(state().await?, @"error: migrations in migrations: migration 1 was previously applied but has been modified: migrations/0001_first_table.sql is not the text that ran; put back the text that ran, and write the change as a new migration. In development, `carya migrate --reset` saves the database and then creates it anew");

    std::fs::write(&path, "this is a letter and no database, whatever its name may be".repeat(20))?;
    for file in ["app.sqlite-wal", "app.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    assert_snapshot!(state().await?, @"error: carya.toml:3: database.url: cannot be opened: app.sqlite is not an SQLite database; choose another path, where the host creates one");
    Ok(())
}

#[tokio::test]
async fn reports_a_database_in_a_missing_folder() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[database]\nurl = \"sqlite:data/app.sqlite\"\n[model]\nmigrations = \".\"\n", &[])?;
    let mut wrong = Wrong::default();
    for args in [["check"].as_slice(), &["migrate"], &["migrate", "--dry-run"], &["serve"]] {
        let ran = run(folder.path(), args).await?;
        let expected = "error: carya.toml:2: database.url: cannot be opened: there is no folder data; create it, or \
                        correct the path\n";
        check_eq!(wrong, (ran.code, ran.err.as_str()), (Some(1), expected), "{args:?}");
    }
    Ok(())
}

/// Errors of SQLite name the file and the reason.
#[tokio::test]
async fn reports_why_an_sqlite_file_cannot_be_opened() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("a.sqlite"))?;
    std::fs::write(folder.path().join("b.sqlite"), "this is a letter and no database".repeat(40))?;
    let locked = SqliteConnectOptions::new().filename(folder.path().join("c.sqlite")).create_if_missing(true);
    let mut locked = SqliteConnection::connect_with(&locked.locking_mode(SqliteLockingMode::Exclusive)).await?;
    sqlx::raw_sql("CREATE TABLE a (x); BEGIN EXCLUSIVE").execute(&mut locked).await?;
    let mut wrong = Wrong::default();
    for (file, reason) in [
        ("a.sqlite", "a.sqlite is a folder; add the name of a file"),
        ("b.sqlite", "b.sqlite is not an SQLite database; choose another path, where the host creates one"),
        ("c.sqlite", "c.sqlite is locked by another process; end its transaction, or raise `busy_timeout`"),
    ] {
        let config = format!("[database]\nurl = \"sqlite:{file}\"\nbusy_timeout = \"50ms\"\n");
        write(folder.path(), &config, &[])?;
        for command in ["check", "serve"] {
            let ran = run(folder.path(), &[command]).await?;
            let expected = format!("error: carya.toml:2: database.url: cannot be opened: {reason}\n");
            check_eq!(wrong, (ran.code, ran.err), (Some(1), expected), "{command} {file}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn reports_routes_without_a_database() -> Result {
    let folder = tempfile::tempdir()?;
    let route = "[component.reads]\npath = \"{guest:reads-only}\"\n[[route]]\npath = \"/x\"\ncomponent = \"reads\"\n";
    let other = "[database.other]\nurl = \"sqlite:other.sqlite\"\n";
    write(folder.path(), &format!("{route}transaction = \"read-only\"\n{other}"), &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!(ran.code, Some(2));
    assert_snapshot!(ran.err, @r#"error: carya.toml:6: route[0].transaction: "read-only" requires a database; add [database] with its `url`, or set `database` of the route to one of: other"#);

    write(folder.path(), &format!("{route}{other}"), &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let warning = ran.out.lines().find(|line| line.starts_with("warning: ")).ok_or(ran.out.clone())?;
    assert_snapshot!(warning, @r#"warning: carya.toml:3: route[0].database: is not set, and there is no default database, so every statement of GET fails; add [database] with its `url`, or set `database` of the route to one of: other. A route without statements needs transaction = "none" and a component that exports plain-controller"#);

    write(folder.path(), "[model]\nmigrations = \"migrations\"\n", &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!(ran.code, Some(2));
    assert_snapshot!(ran.err, @"error: carya.toml:2: model.migrations: requires a database; add [database] with its `url`");
    Ok(())
}

#[tokio::test]
async fn reports_patterns_of_other_frameworks() -> Result {
    let folder = tempfile::tempdir()?;
    let route = |path: &str| format!("[[route]]\npath = '{path}'\ncomponent = \"reads\"\n");
    let paths = ["/items/:id", "/items/<int:id>", "/files/*", "/files/...", "/caf\u{e9}", "/a b", "/a?b=1", "GET /x"];
    let routes = paths.map(route).concat();
    write(folder.path(), &format!("[component.reads]\npath = \"{{guest:reads-only}}\"\n{routes}"), &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!(ran.code, Some(2));
    assert_snapshot!(ran.err, @r#"
    error: carya.toml:4: route[0].path: "/items/:id" has a parameter in the syntax of another framework; write it as "/items/{id}"
    carya.toml:7: route[1].path: "/items/<int:id>" has a parameter in the syntax of another framework; write it as "/items/{id}"
    carya.toml:10: route[2].path: "/files/*" has a parameter in the syntax of another framework; write it as "/files/{*rest}"
    carya.toml:13: route[3].path: "/files/..." has a parameter in the syntax of another framework; write it as "/files/{*rest}"
    carya.toml:16: route[4].path: "/café" has characters that clients percent-encode; write it as "/caf%C3%A9"
    carya.toml:19: route[5].path: "/a b" has characters that clients percent-encode; write it as "/a%20b"
    carya.toml:22: route[6].path: "/a?b=1" must not contain `?` or `#`; write it as "/a"
    carya.toml:25: route[7].path: "GET /x" has a method; write path = "/x" and methods = ["GET"]
    "#);
    Ok(())
}

#[tokio::test]
async fn reports_a_missing_static_folder() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[[static]]\npath = \"/static\"\nfolder = \"gone\"\n", &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_snapshot!(ran.err, @"error: carya.toml:3: static[0].folder: there is no folder gone");
    Ok(())
}

#[tokio::test]
async fn reports_an_unreadable_template() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[templates]\nfolder = \"templates\"\n", &[("templates/page.html", "{% if %}")])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!(ran.code, Some(1));
    assert_snapshot!(ran.err, @"error: carya.toml:2: templates.folder: template templates/page.html: syntax error: unexpected end of block (in page.html:1)");
    Ok(())
}

#[tokio::test]
async fn shows_the_transaction_settings_of_routes() -> Result {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        r#"
[database.reports]
url = "sqlite://reports.sqlite"
migrations = "migrations"
[component.reads]
path = "{guest:reads-only}"
[[route]]
path = "/plain"
component = "reads"
[[route]]
path = "/reports"
component = "reads"
database = "reports"
isolation = "repeatable-read"
primary = true
"#,
        &TABLE,
    )?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let from = ran.out.find("routes").ok_or("there are no routes")?;
    assert_snapshot!(&ran.out[from..], @r#"
    routes
      /plain                   [transaction] > reads
        GET read-only
      /reports                 [transaction] > reads
        database reports
        isolation repeatable-read
        primary true
        GET read-only
    database reports
      pending migrations   ["0001_first_table"]
      state                the file will be created
      url                  sqlite://reports.sqlite
    warning: carya.toml:7: route[0].database: is not set, and there is no default database, so every statement of GET fails; add [database] with its `url`, or set `database` of the route to one of: reports. A route without statements needs transaction = "none" and a component that exports plain-controller
    "#);
    let found = run(folder.path(), &["check", "--json"]).await?.json()?;
    assert_snapshot!(format!("{}\n{}\n{}", found["routes"][0], found["routes"][1], found["databases"]), @r#"
    {"component":"reads","hooks_inside":[],"hooks_outside":[],"methods":["GET read-only"],"path":"/plain"}
    {"component":"reads","database":"reports","hooks_inside":[],"hooks_outside":[],"isolation":"repeatable-read","methods":["GET read-only"],"path":"/reports","primary":true}
    {"reports":{"pending migrations":["0001_first_table"],"state":"the file will be created","url":"sqlite://reports.sqlite"}}
    "#);
    Ok(())
}

async fn reports_excess_rights_of_logins(engine: Engine) -> Result {
    let Some(cluster) = servers::shared(engine).await? else { return Ok(()) };
    let database = cluster.database().await?;
    let folder = tempfile::tempdir()?;
    let config = format!("[database.reports]\nurl = \"{}\"\n", database.primary_url());
    write(folder.path(), &config, &[])?;
    let ran = run(folder.path(), &["check"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let told =
        ran.out.lines().find(|line| line.contains("there is no login that only reads")).ok_or(ran.out.clone())?;
    assert!(told.starts_with("  missing ") && told.contains("allows a `reader` handle to write"), "{told}");
    assert!(!ran.out.contains(servers::password()), "{}", ran.out);
    let found = run(folder.path(), &["check", "--json"]).await?.json()?;
    let missing = found["databases"]["reports"]["missing"].as_array().ok_or("nothing is missing")?;
    assert!(missing.len() > 1, "{missing:?}");
    Ok(())
}

on_each_engine! { on_postgres Postgres: reports_excess_rights_of_logins }
on_each_engine! { on_mariadb MariaDb: reports_excess_rights_of_logins }
