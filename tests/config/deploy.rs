//! Tests of the section `[deploy]`, and of reading two `carya.toml` files: the file of a host, and the file of an
//! application that is deployed to this host.

use std::{fs, path::Path};

use carya::config::{Config, Listen, application, load_deployed, load_host};

use super::{problems, read};
use crate::support::Result;

/// Writes the host's `carya.toml` with the text `own`, and the application's `carya.toml` with the text `deployed` in a
/// subfolder of the host's folder. Reads both.
fn both(own: &str, deployed: &str) -> Result<(tempfile::TempDir, Config)> {
    let folder = tempfile::tempdir()?;
    let app = folder.path().join("apps/1");
    fs::create_dir_all(&app)?;
    fs::write(folder.path().join("carya.toml"), own)?;
    fs::write(folder.path().join("password"), "p\n")?;
    fs::write(app.join("carya.toml"), deployed)?;
    let host = load_host(&folder.path().join("carya.toml"))?;
    let config = load_deployed(&app.join("carya.toml"), &host, "0123456789ab")?;
    Ok((folder, config))
}

const DEPLOYED: &str = r#"
    [server]
    listen = "192.0.2.1:1"
    [log]
    max_per_second = "1GiB"
    [deploy]
    listen = "192.0.2.1:2"
    token = "${A_SECRET_OF_THE_HOST}"
    [database]
    url = "sqlite:app.sqlite"
    [database.reports]
    url = { file = "password" }
    migrations = "more"
    [model]
    migrations = "migrations"
"#;

#[test]
fn a_deployed_file_cannot_allow_functions() {
    let deployed = "[database.log]\nurl = \"postgres://a:b@db/log\"\nallow_functions = [\"public.f\"]\n";
    let error = both("[database]\nurl = \"sqlite:a.sqlite\"\n", deployed).map(drop).expect_err("the key is refused");
    assert!(error.to_string().contains("database.log.allow_functions: is only accepted in the host's file"), "{error}");
}

/// Clients see the details of `debug`, and the log is the host's.
#[test]
fn a_deployed_file_turns_on_no_details() -> Result {
    let deployed = "debug = true\n[database.log]\nurl = \"sqlite:log.sqlite\"\necho = true\necho_params = true\n\
                    echo_pool = true\n";
    for (own, expected) in [("", false), ("debug = false\n", false), ("debug = true\n", true)] {
        let (_folder, config) = both(own, deployed)?;
        let log = &config.databases["log"];
        assert_eq!((config.debug, log.echo, log.echo_params, log.echo_pool), (expected, false, false, false), "{own}");
    }
    Ok(())
}

#[test]
fn databases_of_the_host_take_precedence() -> Result {
    let own = r#"
        [server]
        listen = "127.0.0.1:8081"
        [log]
        max_per_request = "1KiB"
        [database]
        url = "sqlite:own.sqlite"
        max_rows = 7
        [database.reports]
        url = "sqlite:reports.sqlite"
        [database.ledger]
        url = "sqlite:ledger.sqlite"
        [model]
        component = "load_host skips this section, because it belongs to the application"
    "#;
    let (folder, config) = both(own, DEPLOYED)?;
    let (root, app) = (folder.path(), folder.path().join("apps/1"));
    assert_eq!((config.server.listen.port(), config.deploy.is_none()), (Some(8081), true));
    assert_eq!((config.log.max_per_request, config.log.max_per_second), (1 << 10, 1 << 20), "the log is the host's");
    let found: Vec<_> =
        config.all_databases().map(|(_, found)| (found.url.clone(), found.migrations.clone())).collect();
    let url = |name: &str| format!("sqlite://{}", root.join(name).display());
    let expected = [
        (url("own.sqlite"), Some(app.join("migrations"))),
        (url("ledger.sqlite"), None),
        (url("reports.sqlite"), Some(app.join("more"))),
    ];
    assert_eq!(found, expected);
    assert_eq!(config.database.map(|database| database.max_rows), Some(7));
    assert_eq!(
        config.deployed.map(|deployed| (deployed.id, deployed.host)),
        Some(("0123456789ab".into(), root.join("carya.toml")))
    );
    Ok(())
}

#[test]
fn sqlite_files_and_secrets_of_a_deployed_file_are_in_the_folder_of_the_host() -> Result {
    let (folder, config) = both("", &DEPLOYED.replace("{ file = \"password\" }", "\"sqlite:reports.sqlite\""))?;
    let urls: Vec<_> = config.all_databases().map(|(_, found)| found.url.clone()).collect();
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    assert_eq!(urls, [url("app.sqlite"), url("reports.sqlite")]);
    let (_folder, config) =
        both("", "[component.a]\npath = \"a.wasm\"\nsettings = { key = { file = \"password\" } }\n")?;
    assert_eq!(config.components["a"].settings["key"], "p", "files with secrets are also in the folder of the host");
    Ok(())
}

#[test]
fn lists_the_files_of_an_application() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("carya.toml");
    let text = r#"
        [component.a]
        path = "./guests/a.wasm"
        [database.reports]
        url = "${NOT_SET_ANYWHERE}"
        migrations = "more"
        [model]
        migrations = "migrations"
        [templates]
        folder = "templates"
        [[static]]
        path = "/x"
        folder = "static"
        [[route]]
        path = "no matter"
    "#;
    fs::write(&file, text)?;
    let found = application(&file)?;
    let names: Vec<_> = found.iter().map(|(_, path)| path.strip_prefix(folder.path()).unwrap_or(path)).collect();
    assert_eq!(names, ["guests/a.wasm", "migrations", "templates", "more", "static"].map(Path::new));
    for (path, right) in [("a.wasm", true), ("x/../../a.wasm", false), ("../a.wasm", false), ("/a.wasm", false)] {
        fs::write(&file, format!("[component.a]\npath = \"{path}\"\n"))?;
        assert_eq!(application(&file).is_ok(), right, "{path}");
    }
    Ok(())
}

#[test]
fn checks_the_listener_of_the_deployment_api() {
    let listen = |text: &str| {
        let text = format!("[deploy]\ntoken = \"0123456789abcdef\"\nlisten = \"{text}\"\n");
        read(&text, &[]).map(|config| config.deploy.and_then(|deploy| deploy.listen))
    };
    assert_eq!(listen("unix:a.sock"), Ok(Some(Listen::Unix("a.sock".into()))));
    assert_eq!(listen("[::1]:1"), Ok(Some(Listen::Tcp(([0, 0, 0, 0, 0, 0, 0, 1], 1).into()))));
    let half = "[deploy]\nlisten = \"0.0.0.0:1\"\ntoken = \"a secret\"\ntls_cert = \"x\"\nkeep = 0\n";
    insta::assert_snapshot!(problems(half, &[]), @r"
    carya.toml:1: deploy.tls_key: is missing; `tls_cert` requires it
    carya.toml:3: deploy.token: must have at least 16 visible ASCII characters and no spaces; `openssl rand -hex 32` makes a token
    carya.toml:5: deploy.keep: 0 is not a whole number from 1 to 1000
    ");
    let open = "[deploy]\nlisten = \"0.0.0.0:1\"\n";
    insta::assert_snapshot!(problems(open, &[]), @r#"
    carya.toml:1: deploy.token: is missing, but required for a TCP listener; write token = "${NAME}"
    carya.toml:1: deploy.listen: 0.0.0.0:1 is reachable from other machines; set tls_cert and tls_key, or listen on 127.0.0.1
    "#);
    let nowhere = "[deploy]\nlisten = \"there\"\n";
    insta::assert_snapshot!(problems(nowhere, &[]), @r#"carya.toml:2: deploy.listen: "there" is not an address; write it as "127.0.0.1:8080" or "unix:/run/carya/admin.sock""#);
    let shown = format!("{:?}", read("[deploy]\ntoken = \"0123456789abcdef\"\n", &[]));
    assert!(shown.contains("token: Some") && !shown.contains("0123456789"), "{shown}");
}
