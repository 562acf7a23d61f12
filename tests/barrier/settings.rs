//! Settings of a server, a database or a role that change how the server parses a statement. The host sets its own
//! values on each session, so that the server parses a statement as the gate does.

use serde_json::{Value as Json, json};
use tempfile::tempdir;

use crate::{
    harden::{Urls, apply},
    script::{attempt, config, kind, results},
    support::{
        App, Result, Wrong, carya, check, check_eq,
        client::Client,
        servers::{self, Engine, Pair},
    },
};

const TABLES: &str =
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(20)); INSERT INTO items VALUES (1, 'bolt')";

async fn serve(urls: &Urls) -> Result<App> {
    let env = [
        ("CARYA_DATABASE__URL", &*urls.writer),
        ("CARYA_DATABASE__READER_URL", &*urls.reader),
        ("CARYA_DATABASE__ADMIN_URL", &*urls.admin),
    ];
    App::start_in(tempdir()?, &config(), &[("migrations/0001_none.sql", "SELECT 1")], &env).await
}

/// Returns the values of the first row of a query, as texts.
async fn row(app: &App, method: &str, sql: &str) -> Result<Vec<String>> {
    let got = results(app, method, &json!([{ "sql": sql, "op": "query_one" }])).await?;
    let values = got[0]["row"].as_array().into_iter().flatten();
    Ok(values.map(|value| value["v"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Returns the kind of error of a statement, or `ok`, through the reader and through the writer.
async fn kinds(app: &App, sql: &str) -> Result<[String; 2]> {
    let step: Json = json!({ "sql": sql });
    Ok([kind(&attempt(app, "GET", step.clone()).await?), kind(&attempt(app, "POST", step).await?)])
}

#[tokio::test]
async fn settings_of_a_postgresql_database_or_role_do_not_open_the_gate() -> Result {
    let Some(cluster) = servers::postgres().await? else { return Ok(()) };
    let settings = [
        "standard_conforming_strings = off",
        "backslash_quote = on",
        "client_encoding = 'SJIS'",
        "escape_string_warning = off",
        "search_path = carya, public, pg_catalog",
        "\"DateStyle\" = 'German'",
        "\"TimeZone\" = 'Asia/Tokyo'",
        "\"IntervalStyle\" = 'iso_8601'",
        "bytea_output = 'escape'",
    ];
    let mut wrong = Wrong::default();
    for place in ["DATABASE {db}", "ROLE {rw} IN DATABASE {db}", "ROLE {rw}"] {
        let database = cluster.database().await?;
        let urls = Urls::new(database.primary_url(), &database.name)?;
        let owner = database.primary()?;
        owner.execute(TABLES).await?;
        let folder = tempdir()?;
        urls.configure(folder.path())?;
        apply(folder.path()).await?;
        for login in ["ro", "rw"] {
            let login = format!("{}_{login}", database.name);
            owner.execute(&format!("GRANT SELECT ON items TO {login}")).await?;
            let place = place.replace("{db}", &database.name).replace("{rw}", &login);
            for setting in settings {
                owner.execute(&format!("ALTER {place} SET {setting}")).await?;
            }
        }
        let app = serve(&urls).await?;
        for method in ["GET", "POST"] {
            let texts = row(&app, method, "SELECT 'a\\' , ', pg_sleep(0.5)::text --'").await?;
            check_eq!(wrong, texts, ["a\\", ", pg_sleep(0.5)::text --"], "{place} {method}");
            let sql = "SELECT 'é', name, '2000-01-02'::date, '1 day'::interval, '\\x00ff'::bytea, \
                '2000-01-01 00:00:00+00'::timestamptz::text FROM public.items";
            let got = results(&app, method, &json!([{ "sql": sql, "op": "query_json" }])).await?.to_string();
            for value in ["é", "bolt", "2000-01-02", "1 day", "AP8=", "2000-01-01 00:00:00+00"] {
                check!(wrong, got.contains(value), "{place} {method} {value}: {got}");
            }
        }
        for sql in ["SELECT * FROM carya_outbox", "SELECT 'a\\', pg_sleep(1)::text --'"] {
            check!(wrong, !kinds(&app, sql).await?.contains(&"ok".to_owned()), "{place} {sql}");
        }
        let check = carya().args(["harden", "--check"]).current_dir(folder.path()).output().await?;
        let told = [check.stdout, check.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        check!(wrong, told.contains("standard_conforming_strings = off"), "{place}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn settings_of_a_mariadb_server_do_not_open_the_gate() -> Result {
    let Some(pair) = Pair::start(Engine::MariaDb).await? else { return Ok(()) };
    let name = pair.database().await?.name;
    let urls = Urls::new(pair.primary_url(&name), &name)?;
    let owner = Client::new(&urls.admin)?;
    owner.execute(TABLES).await?;
    let folder = tempdir()?;
    urls.configure(folder.path())?;
    apply(folder.path()).await?;
    for login in ["ro", "rw"] {
        owner.execute(&format!("GRANT SELECT ON items TO {name}_{login}")).await?;
    }
    owner.execute("SET GLOBAL init_connect = 'SET NAMES gbk, sql_mode = ''''', GLOBAL sql_mode = ''").await?;
    let app = serve(&urls).await?;
    let mut wrong = Wrong::default();
    for method in ["GET", "POST"] {
        check_eq!(
            wrong,
            row(&app, method, "SELECT 'a\\\\b', 'é', \"name\" FROM \"items\"").await?,
            ["a\\\\b", "é", "bolt"],
            "{method:?}"
        );
        check_eq!(wrong, row(&app, method, "SELECT 'a' || 'b'").await?, ["ab"], "{method:?}");
    }
    for sql in [
        "SELECT 'a\\' , ', SLEEP(1) -- '",
        "SELECT \"a\\\" , \", SLEEP(1) -- \"",
        "SELECT '\u{7e5d}\\' OR SLEEP(1) -- '",
    ] {
        check!(wrong, !kinds(&app, sql).await?.contains(&"ok".to_owned()), "{sql}");
    }
    Ok(())
}
