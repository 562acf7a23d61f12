//! The listener for deployments: addresses, Unix sockets and TLS.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{Host, TOKEN, files, run, write};
use crate::support::{App, Result, Wrong, carya, check};

/// Starts a host whose configuration must be refused. Returns its standard error.
async fn refused(own: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("carya.toml"), own)?;
    let output = carya().arg("serve").current_dir(folder.path()).output().await?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_public_address_needs_tls_and_every_address_a_token() -> Result {
    let listen = |address: &str, more: &str| format!("[deploy]\nlisten = \"{address}\"\n{more}");
    let token = format!("token = \"{TOKEN}\"\n");
    let mut wrong = Wrong::default();
    for (own, why) in [
        (
            listen("0.0.0.0:0", &token),
            "deploy.listen: 0.0.0.0:0 is reachable from other machines; set tls_cert and tls_key",
        ),
        (listen("[::]:0", &token), "is reachable from other machines"),
        (listen("127.0.0.1:0", ""), "deploy.token: is missing"),
        (listen("127.0.0.1:0", "token = \"short\""), "deploy.token: must have at least 16"),
        (listen("127.0.0.1:0", &format!("{token}tls_key = \"x\"")), "deploy.tls_cert: is missing"),
        (listen("unix:", ""), "deploy.listen"),
        (listen("localhost", &token), "deploy.listen"),
    ] {
        let told = refused(&own).await?;
        check!(wrong, told.contains(why) && !told.contains("short"), "{why}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_is_for_its_owner() -> Result {
    let (folder, place) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let socket = place.path().join("admin.sock");
    let own = format!("[deploy]\nlisten = \"unix:{}\"\n", socket.display());
    let url = format!("unix:{}", socket.display());
    let application = tempfile::tempdir()?;
    write(application.path(), &files("one")?)?;
    let config = application.path().join("carya.toml").display().to_string();

    let app = App::start_in(folder, &own, &[], &[]).await?;
    assert_eq!(fs::metadata(&socket)?.permissions().mode() & 0o777, 0o600);
    let ran = run(&["deploy", "--config", &config, "--to", &url], &[]).await?;
    assert!(ran.success, "{}", ran.messages);
    assert_eq!(app.get("/static/page.txt").await?.text(), "one");
    // Another host refuses a socket that is in use, and takes over a socket that is not.
    let Err(error) = App::start_in(tempfile::tempdir()?, &own, &[], &[]).await else { return Err("it started".into()) };
    assert!(error.to_string().contains("another process listens on"), "{error}");
    let app = App::start_in(app.kill().await?, &own, &[], &[]).await?;
    assert_eq!(app.get("/static/page.txt").await?.text(), "one");
    assert!(run(&["generations", "--to", &url], &[]).await?.answer.contains("active"));
    Ok(())
}

#[tokio::test]
async fn one_folder_has_one_host() -> Result {
    let host = Host::start().await?;
    let own = format!("[deploy]\nfolder = \"{}\"\n", host.app.folder.path().join("deployed").display());
    let Err(error) = App::start_in(tempfile::tempdir()?, &own, &[], &[]).await else { return Err("it started".into()) };
    assert!(error.to_string().contains("is used by another host"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_listener_with_a_certificate_uses_tls() -> Result {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    let cert = cert.display().to_string();
    let own = "[deploy]\nlisten = \"0.0.0.0:0\"\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\ntoken = { file = \"token\" }\n";
    fs::write(folder.path().join("token"), format!("{TOKEN}\n"))?;
    let token = folder.path().join("token").display().to_string();
    let host = Host::start_in(folder, own).await?;
    let port = host.admin.rsplit(':').next().unwrap_or_default();
    // These clients connect and never begin the handshake. They are more than the listener serves at a time, so the
    // host must close some of their connections to serve the deployment.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await?);
    }

    let application = tempfile::tempdir()?;
    write(application.path(), &files("one")?)?;
    let config = application.path().join("carya.toml").display().to_string();
    let url = format!("https://127.0.0.1:{port}");
    let args = ["deploy", "--config", &config, "--to", &url, "--token-file", &token];
    let ran = run(&args, &[("SSL_CERT_FILE", &cert)]).await?;
    assert!(ran.success, "{}", ran.messages);
    assert_eq!(host.app.get("/static/page.txt").await?.text(), "one");
    let ran = run(&args, &[]).await?;
    assert!(!ran.success && ran.messages.contains("certificate"), "nobody vouches for it: {}", ran.messages);
    let plain = run(&["generations", "--to", &format!("http://127.0.0.1:{port}"), "--token-file", &token], &[]).await?;
    assert!(!plain.success, "{}", plain.answer);
    Ok(())
}
