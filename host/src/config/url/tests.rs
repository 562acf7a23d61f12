//! Tests of the URLs of databases.

use super::*;

fn parse(url: &str) -> Result<(Dialect, String), String> {
    super::parse(Path::new("/app"), &Value::Text(url.to_owned()))
}

#[test]
fn files() {
    for (url, expected) in [
        ("sqlite:items.db", Ok("sqlite:///app/items.db")),
        ("sqlite://data/items.db", Ok("sqlite:///app/data/items.db")),
        ("sqlite:///var/items.db", Ok("sqlite:///var/items.db")),
        ("sqlite::memory:", Err("names no file")),
        ("sqlite://x?mode=memory", Err("names no file")),
        ("sqlite:", Err("names no file")),
        ("sqlite:x?mode=ro", Err("has options")),
    ] {
        match (parse(url), expected) {
            (Ok((dialect, found)), Ok(expected)) => {
                assert_eq!((dialect, found.as_str()), (Dialect::Sqlite, expected));
                assert_eq!(shown(&found), expected);
            }
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, _) => panic!("{url}: {found:?}"),
        }
    }
}

#[test]
fn misspelt_schemes_are_recognized() {
    for (url, expected) in [
        ("sqllite://items.db", r#"did you mean "sqlite:PATH"?"#),
        ("sqlite3:items.db", r#"did you mean "sqlite:PATH"?"#),
        ("SQLite:items.db", r#"did you mean "sqlite:PATH"?"#),
        ("sqlite+aiosqlite:///items.db", r#"did you mean "sqlite:PATH"?"#),
        ("file:items", r#"did you mean "sqlite:PATH"?"#),
        ("items.db", r#"did you mean "sqlite:PATH"?"#),
        ("/var/items.sqlite3", r#"did you mean "sqlite:PATH"?"#),
        (":memory:", r#"did you mean "sqlite:PATH"?"#),
        ("postgre://ann@db/items", r#"did you mean "postgres://"#),
        ("postgess://ann@db/items", r#"did you mean "postgres://"#),
        ("psql://ann@db/items", r#"did you mean "postgres://"#),
        ("postgresql+psycopg://ann@db/items", r#"did you mean "postgresql://"#),
        ("jdbc:postgresql://db/items", r#"did you mean "postgresql://"#),
        ("mysql2://ann@db/items", r#"did you mean "mysql://"#),
        ("mysq://ann@db/items", r#"did you mean "mysql://"#),
        ("maria://ann@db/items", r#"did you mean "mariadb://"#),
        ("mssql://ann@db/items", "accepted:"),
        ("oracle:x", "accepted:"),
        ("hunter2", "accepted:"),
    ] {
        let found = parse(url).expect_err(url);
        assert!(found.contains(expected), "{url}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn servers_are_shown_without_passwords() {
    for (url, dialect, expected) in [
        ("postgres://ann:secret@db/items", Dialect::Postgres, "postgres://ann@db/items"),
        ("postgresql://ann@[::1]:5433/items?sslmode=require", Dialect::Postgres, "postgresql://ann@[::1]:5433/items"),
        ("postgres://ann:secret@localhost/items?host=/run/pg", Dialect::Postgres, "postgres://ann@localhost/items"),
        ("postgres://ann:sec%40ret@%2Frun%2Fpg/items", Dialect::Postgres, "postgres://ann@%2Frun%2Fpg/items"),
        ("mysql://ann:secret:@db:3307/items", Dialect::MySql, "mysql://ann@db:3307/items"),
        ("mariadb://ann:secret@db/items?ssl-mode=REQUIRED", Dialect::MySql, "mariadb://ann@db/items"),
        ("mysql://ann:sec@ret@db/items?socket=/run/my.sock", Dialect::MySql, "mysql://ann@db/items"),
    ] {
        assert_eq!(parse(url), Ok((dialect, url.to_owned())));
        assert_eq!(shown(url), expected);
    }
}

#[test]
fn passwords() {
    for (url, expected) in [
        ("postgres://ann:sec%40ret@db/items", "sec@ret"),
        ("mysql://ann:sec:ret@db/items", "sec:ret"),
        ("mysql://ann@db/items", ""),
        ("sqlite://items.db", ""),
    ] {
        assert_eq!(password(url), expected, "{url}");
    }
}

#[test]
fn urls_of_other_databases() {
    let url = "postgres://ann:sec%40ret@db:5433/items?sslmode=disable";
    assert_eq!(with_database(url, "a", None), "postgres://ann:sec%40ret@db:5433/a?sslmode=disable");
    assert_eq!(with_database(url, "a", Some(("bob", "pw"))), "postgres://bob:pw@db:5433/a?sslmode=disable");
    assert_eq!(with_database("mysql://ann@db/items", "a", None), "mysql://ann@db/a");
    assert!(same_database(url, "postgres://bob@db:5433/items"));
    assert!(!same_database(url, "postgres://ann:sec%40ret@db:5433/other"));
    assert!(!same_database(url, "postgres://ann:sec%40ret@db/items"));
}

#[test]
fn options() {
    for (url, expected) in [
        ("postgres://ann@db/items?sslmode=require&application_name=a%26b+c", Some("a&b c")),
        ("postgres://ann@db/items?application_name=a&application_name=b", Some("b")),
        ("postgres://ann@db/items?application_name=", Some("")),
        ("postgres://ann@db/items?application_name", None),
        ("postgres://application_name=a@db/items", None),
        ("sqlite://application_name=a", None),
    ] {
        assert_eq!(option(url, "application_name").as_deref(), expected, "{url}");
    }
}

#[test]
fn no_message_contains_a_part_of_the_url() {
    for (url, reason) in [
        ("postgres:secret", "has no `//`"),
        ("postgres://secret@/items", "names no host"),
        ("postgres://db/secret", "names no user"),
        ("postgres://ann:secret@db", "names no database"),
        ("mysql://ann:secret@db/", "names no database"),
        ("postgres://ann:secret@db:secret/items", "invalid port number"),
        ("postgres://ann:secret@db:99999/items", "invalid port number"),
        ("mysql://ann:secret@[db/items", "invalid IPv6 address"),
        ("postgres://ann:sec#ret@db/items", "it has a `#`"),
        ("postgres://ann:sec/ret@db/items", "names no user"),
        ("postgres://ann:%ff@db/items", "invalid utf-8"),
        ("postgres://ann:secret@db/items?passwd=secret", "accepted: sslmode, sslrootcert"),
        ("mysql://ann:secret@db/items?secret", "accepted: ssl-mode, ssl-ca"),
        ("postgres://ann:secret@db/items?sslmode=maybe", "is malformed"),
    ] {
        let found = parse(url).expect_err(url);
        assert!(found.contains(reason), "{url}: {found}");
        assert!(!found.contains("secret"), "{url}: {found}");
    }
}

#[test]
fn passwords_are_masked() {
    let env = [("PW", "sec@ret"), ("LOGIN", "ann:secret"), ("URL", "mysql://ann:secret@db/items"), ("S", "sqlite:")];
    let env: Environment = env.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    for (url, expected) in [
        ("postgres://ann:secret@db/items?sslmode=require", "postgres://ann:***@db/items?sslmode=require"),
        ("mysql://ann:sec@ret@db:3307/items", "mysql://ann:***@db:3307/items"),
        ("mysql://ann@db/items", "mysql://ann@db/items"),
        ("sqlite:items.db", "sqlite:items.db"),
        ("sqlite:${NAME:-items}.db", "sqlite:${NAME:-items}.db"),
        ("${S}//items.db", "${S}//items.db"),
        ("mysql://ann:${PW}@${HOST:-db}/items", "mysql://ann:${PW}@${HOST:-db}/items"),
        ("mysql://ann:${NONE:-secret}@db/items", "mysql://ann:${NONE:-***}@db/items"),
        ("mysql://ann:a${PW}b@db/items", "mysql://ann:***${PW}***@db/items"),
        ("mysql://${LOGIN}@db/items", "***${LOGIN}***"),
        ("mysql://${LOGIN}secret@db/items", "***${LOGIN}***"),
        ("${URL}", "${URL}"),
        ("${NONE:-mysql://ann:secret@db/items}", "${NONE:-***}"),
        ("${S:-mysql://ann:secret@db/items}//items.db", "${S:-***}***"),
    ] {
        assert_eq!(masked(url, Some(&env)), expected, "{url}");
    }
    assert_eq!(masked("mysql://ann:${PW}@db/items", None), "mysql://ann:***@db/items");
    assert_eq!(masked("sqlite:${NAME}.db", None), "sqlite:${NAME}.db");
}
