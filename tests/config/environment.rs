//! Environment variables that override keys.

use insta::assert_snapshot;

use super::{problems, read};

const ITEMS: &str = r#"
[server]
listen = "127.0.0.1:${PORT:-8080}"
[database]
url = { file = "no/such/file" }
max_connections = "${CONNECTIONS:-4}"
[component.my-items]
path = "items.wasm"
settings = { apiKey = "a", pin = "0" }
[[route]]
path = "/items"
component = "my-items"
"#;

#[test]
fn variables_override_the_file() {
    let config = read(
        ITEMS,
        &[
            ("PORT", "81"),
            ("CONNECTIONS", "12"),
            ("CARYA_DEBUG", "true"),
            ("CARYA_DATABASE__URL", "sqlite:${literal}.db"),
            ("CARYA_TRANSACTION__COMMIT_ON", r#"["2xx", 404]"#),
            ("carya_component__my_items__timeout", "1s"),
            ("CARYA_COMPONENT__MY_ITEMS__SETTINGS__APIKEY", "b"),
            ("CARYA_COMPONENT__MY_ITEMS__SETTINGS__PIN", "1_000"),
            ("CARYA_LOG", "debug"),
            ("CARYA_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .expect("file and environment are right");
    assert!(config.debug);
    assert_eq!(config.server.listen.port(), Some(81));
    let database = config.database.expect("there is a database");
    assert_eq!(database.url, "sqlite://${literal}.db");
    assert_eq!(database.max_connections, 12);
    assert!(config.transaction.commit_on.contains(404));
    assert!(!config.transaction.commit_on.contains(302));
    let items = &config.components["my-items"];
    assert_eq!(items.timeout.as_secs(), 1);
    assert_eq!(items.settings["apiKey"], "b");
    assert_eq!(items.settings["pin"], "1_000", "text stays as it was written");
}

#[test]
fn problems_of_the_environment() {
    assert_snapshot!(problems(
        ITEMS,
        &[
            ("CARYA_", ""),
            ("CARYA_COMPONENT__MYITEMS__TIMEOUT", "1s"),
            ("CARYA_COMPONENT__MY_ITEMS__TIMEOUT", "1"),
            ("CARYA_DATABASE__URL", "mysql://ann:hunter2@db"),
            ("CARYA_DEBUG", ""),
            ("CARYA_HOOK", "[{ component = 'my-items' }]"),
            ("CARYA_ROUTE__0__PATH", "/"),
            ("CARYA_SERVER_LISTEN", "127.0.0.1:80"),
            ("CARYA_SERVER__LISTEN__PORT", "80"),
            ("CARYA_SERVER__LITSEN", "127.0.0.1:80"),
            ("CARYA_TRANSACTION", "none"),
            ("CARYA_TRANSACTION__COMMIT_ON", "2xx"),
        ],
    ), @r#"
    CARYA_: names no key; write CARYA_KEY or CARYA_SECTION__KEY
    CARYA_COMPONENT__MYITEMS__TIMEOUT: component.myitems: is not a component of the file; did you mean `my-items`?
    CARYA_COMPONENT__MY_ITEMS__TIMEOUT: component.my-items.timeout: "1" is not a duration; write it as "500ms", "30s", "5m" or "1h"
    CARYA_DATABASE__URL: database.url: names no database; write it as "mysql://USER:PASSWORD@HOST/NAME"
    CARYA_DEBUG: debug: "" is not a boolean; write it as true or false
    CARYA_HOOK: hook: is a list of tables; only the file can define it
    CARYA_ROUTE__0__PATH: route.0.path: is inside a list; variables cannot set values in lists
    CARYA_SERVER_LISTEN: server_listen: unknown key (variables are named CARYA_SECTION__KEY); accepted: component, outbound, server, database, debug, log, transaction, model, templates, static, hook, route, smoke, rate_limit, headers, cors, reload, registry, test, deploy
    CARYA_SERVER__LISTEN__PORT: server.listen.port: is inside a value that is not a table
    CARYA_SERVER__LITSEN: server.litsen: unknown key (variables are named CARYA_SECTION__KEY); did you mean `listen`?
    CARYA_TRANSACTION: transaction: "none" is not a table; write it as [transaction]
    CARYA_TRANSACTION__COMMIT_ON: transaction.commit_on: is inside a value that is not a table
    "#);
}
