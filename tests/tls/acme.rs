//! Certificates that the host obtains from an authority.

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::{Authority, curl};
use crate::{
    script::config,
    support::{
        App, Result, Wrong, carya, check, check_eq,
        servers::{Pebble, free_port},
        write,
    },
};

/// Returns the configuration of a listener with a certificate by ACME.
fn obtaining(pebble: &Pebble, authority: &Authority, domains: &str) -> String {
    let (directory, ca) = (pebble.directory(), authority.path("ca.pem"));
    format!(
        "[server.acme]\ndomains = {domains}\nfolder = \"acme\"\naccept_terms = \
         true\ncontact = \"mailto:ops@shop.test\"\ndirectory = \"{directory}\"\nca = \"{}\"\n{}",
        ca.display(),
        config()
    )
}

/// Starts Pebble. It has a certificate for 127.0.0.1 itself.
async fn pebble(checked: u16, seconds: u32) -> Result<Option<(Pebble, Authority)>> {
    let authority = Authority::new().await?;
    authority.sign("pebble", "IP:127.0.0.1", "ec").await?;
    let [cert, key] = ["pebble.pem", "pebble.key"].map(|name| authority.path(name));
    let pebble = Pebble::start(checked, [&cert, &key], seconds).await?;
    Ok(pebble.map(|pebble| (pebble, authority)))
}

async fn start(folder: TempDir, port: u16, config: &str) -> Result<App> {
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    let address = format!("127.0.0.1:{port}");
    App::start_in(folder, config, &[table], &[("CARYA_SERVER__LISTEN", &address)]).await
}

/// Makes the root of Pebble's certificates the one that [`curl`] trusts.
async fn trust(authority: &Authority, pebble: &Pebble) -> Result<Authority> {
    let ca = reqwest::Certificate::from_pem(&fs::read(authority.path("ca.pem"))?)?;
    let client = reqwest::Client::builder().no_proxy().add_root_certificate(ca).build()?;
    let trusted = Authority(tempfile::tempdir()?);
    fs::write(trusted.path("ca.pem"), client.get(pebble.root()).send().await?.bytes().await?)?;
    Ok(trusted)
}

#[tokio::test]
async fn a_certificate_is_obtained_kept_and_renewed() -> Result {
    let port = free_port()?;
    let Some((pebble, authority)) = pebble(port, 30).await? else { return Ok(()) };
    let config = obtaining(&pebble, &authority, r#"["shop.test", "www.shop.test"]"#);
    let app = start(tempfile::tempdir()?, port, &config).await?;
    let mut seen = 0;
    app.log.next(&mut seen, &["the certificates were replaced"]).await?;

    let trusted = trust(&authority, &pebble).await?;
    let mut wrong = Wrong::default();
    for name in ["shop.test", "www.shop.test"] {
        let args = ["-o", "/dev/null", "-w", "%{http_version} %{response_code}"];
        check_eq!(wrong, curl(&app, &trusted, name, &args).await, Ok("2 200".to_owned()), "{name}");
    }
    check!(wrong, curl(&app, &trusted, "other.test", &[]).await.is_err(), "a name without a certificate");
    for file in ["account.json", "certificate.pem"] {
        let mode = fs::metadata(app.folder.path().join("acme").join(file))?.permissions().mode();
        check_eq!(wrong, mode & 0o777, 0o600, "{file}");
    }

    // The host that starts again has the certificate at once.
    let (folder, _) = app.stop().await?;
    let app = start(folder, port, &config).await?;
    check!(wrong, curl(&app, &trusted, "shop.test", &[]).await.is_ok(), "after a restart");
    check!(wrong, !app.log.lines().iter().any(|line| line["message"] == "obtaining a certificate"), "no second one");

    // It is due after 20 s.
    let certificate = app.folder.path().join("acme/certificate.pem");
    let old = fs::read(&certificate)?;
    app.log.wait_for("obtaining a certificate").await?;
    app.log.wait_for("the certificates were replaced").await?;
    check!(wrong, fs::read(&certificate)? != old, "the certificate is another one");
    check!(wrong, curl(&app, &trusted, "shop.test", &[]).await.is_ok(), "after the renewal");
    Ok(())
}

#[tokio::test]
async fn a_name_that_the_authority_cannot_check_is_logged_with_the_reason() -> Result {
    let [checked, port] = [free_port()?, free_port()?];
    let Some((pebble, authority)) = pebble(checked, 600).await? else { return Ok(()) };
    let app = start(tempfile::tempdir()?, port, &obtaining(&pebble, &authority, r#"["shop.test"]"#)).await?;
    let line = app.log.wait_for("no certificate was obtained").await?;
    let error = line["error"].as_str().unwrap_or_default();
    let mut wrong = Wrong::default();
    check!(wrong, error.contains("did not accept shop.test: ") && error.contains("port 443"), "{line}");
    check_eq!(wrong, (&line["level"], &line["next_attempt_ms"]), (&"ERROR".into(), &60_000.into()), "{line}");
    // Without a certificate, the listener refuses handshakes and lives.
    check!(wrong, curl(&app, &authority, "shop.test", &[]).await.is_err(), "no certificate");

    // An authority that is not trusted, or that is not there.
    let (app, _) = app.stop().await?;
    drop(app);
    let untrusted = obtaining(&pebble, &authority, r#"["shop.test"]"#);
    let ca = untrusted.lines().find(|line| line.starts_with("ca = ")).ok_or("no ca")?;
    let app = start(tempfile::tempdir()?, port, &untrusted.replace(ca, "")).await?;
    let line = app.log.wait_for("no certificate was obtained").await?;
    check!(wrong, line["error"].as_str().is_some_and(|error| error.contains("certificate")), "{line}");
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_with_their_key() -> Result {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("open"))?;
    fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o777))?;
    let mut wrong = Wrong::default();
    let whole = r#"domains = ["shop.test"]
folder = "acme"
accept_terms = true"#;
    for (from, to, command, code, expected) in [
        ("true", "false", "check", 2, "carya.toml:4: server.acme.accept_terms: must be true"),
        ("accept_terms = true", "", "check", 2, "server.acme.accept_terms: is missing"),
        (r#"["shop.test"]"#, "[]", "check", 2, "carya.toml:2: server.acme.domains: is empty"),
        ("shop.test", "*.shop.test", "check", 2, "has a wildcard"),
        ("shop.test", "127.0.0.1", "check", 2, "is no domain name"),
        ("shop.test", "shop_test", "check", 2, "is no domain name"),
        ("true", "true\ncontact = \"ops\"", "check", 2, "server.acme.contact: "),
        ("true", "true\ndirectory = \"http://ca.test\"", "check", 2, "server.acme.directory: "),
        ("true", "true\nca = \"no.pem\"", "check", 1, "carya.toml:5: server.acme.ca: "),
        ("\"acme\"", "\"open\"", "serve", 1, "carya.toml:3: server.acme.folder: "),
        ("", "", "check", 0, ""),
    ] {
        write(folder.path(), &format!("[server.acme]\n{}\n", whole.replacen(from, to, 1)), &[])?;
        let ran = carya().arg(command).current_dir(folder.path()).output().await?;
        let messages = String::from_utf8_lossy(&ran.stderr);
        check_eq!(wrong, ran.status.code(), Some(code), "{command} {to}: {messages}");
        check!(wrong, messages.contains(expected), "{command} {to}: {messages}");
    }
    check!(wrong, !folder.path().join("acme").exists(), "a check makes no folder");
    Ok(())
}
