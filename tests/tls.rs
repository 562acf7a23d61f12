//! TLS of the application's listener, with real clients and certificates that openssl has made.

mod acme;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

use crate::{
    script::config,
    support::{App, PATIENCE, Result, Wrong, carya, check, check_eq, write},
};

/// A certificate authority in a folder, with the certificates that it has signed.
pub struct Authority(TempDir);

impl Authority {
    pub async fn new() -> Result<Self> {
        let authority = Self(tempfile::tempdir()?);
        let args = ["-subj", "/CN=authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        authority.openssl(&[&new[..], &args].concat()).await?;
        Ok(authority)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn openssl(&self, args: &[&str]) -> Result {
        let ran = Command::new("openssl").args(args).current_dir(self.0.path()).output().await?;
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }

    /// Writes `NAME.pem` and `NAME.key` for alternative names such as `DNS:a.test`, with a key such as `ec` or `rsa`.
    pub async fn sign(&self, name: &str, names: &str, key: &str) -> Result {
        let [request, cert, key_file, options] = ["csr", "pem", "key", "ext"].map(|end| format!("{name}.{end}"));
        std::fs::write(self.path(&options), format!("subjectAltName={names}\n"))?;
        let kind: &[&str] = match key {
            "ec" => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            _ => &["-newkey", "rsa:2048"],
        };
        let (subject, out) = (format!("/CN={name}"), ["-keyout", &key_file, "-out", &request]);
        self.openssl(&[&["req", "-nodes", "-subj", &subject], kind, &out].concat()).await?;
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", &options];
        self.openssl(&[&["x509", "-req", "-in", &request, "-out", &cert], &by[..]].concat()).await
    }

    /// Replaces the files of the served certificate, each in one step.
    fn serve(&self, name: &str) -> Result {
        for end in ["key", "pem"] {
            let next = self.path(&format!("next.{end}"));
            std::fs::copy(self.path(&format!("{name}.{end}")), &next)?;
            std::fs::rename(next, self.path(&format!("served.{end}")))?;
        }
        Ok(())
    }
}

/// Returns the configuration of a listener with the certificate `name`, and of `probe`.
pub fn with_certificate(authority: &Authority, name: &str) -> String {
    let [cert, key] = ["pem", "key"].map(|end| authority.path(&format!("{name}.{end}")).display().to_string());
    format!("[server]\ntls_cert = \"{cert}\"\ntls_key = \"{key}\"\n")
}

async fn start(server: &str) -> Result<App> {
    let table = ("migrations/0001_t.sql", "CREATE TABLE t (n INTEGER)");
    App::start_in(tempfile::tempdir()?, &format!("{server}{}", config()), &[table], &[]).await
}

/// Runs curl for a host name that resolves to the application. Returns its output, or its error.
async fn curl(app: &App, authority: &Authority, name: &str, args: &[&str]) -> std::result::Result<String, String> {
    let port = app.address().rsplit(':').next().unwrap_or_default();
    let (resolve, ca) = (format!("{name}:{port}:127.0.0.1"), authority.path("ca.pem"));
    let mut command = Command::new("curl");
    command.args(["-sS", "--resolve", &resolve, "--cacert"]).arg(ca).args(args).arg(format!("https://{name}:{port}/x"));
    let ran = timeout(PATIENCE, command.output()).await.map_err(|late| late.to_string())?;
    let ran = ran.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
}

#[tokio::test]
async fn curl_speaks_both_versions_of_http_and_both_of_tls() -> Result {
    let authority = Authority::new().await?;
    authority.sign("a", "DNS:a.test", "ec").await?;
    let app = start(&with_certificate(&authority, "a")).await?;
    let script = json!([{ "echo": true }]).to_string();
    let mut wrong = Wrong::default();
    for (args, version) in [
        (["--http1.1", "--tls-max", "1.2"].as_slice(), "1.1"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http2", "--tlsv1.3"], "2"),
    ] {
        let args = [args, &["-d", &script, "-w", "\n%{http_version} %{ssl_verify_result} %{response_code}"]].concat();
        let output = curl(&app, &authority, "a.test", &args).await?;
        let (body, end) = output.rsplit_once('\n').ok_or("no end")?;
        check_eq!(wrong, end, format!("{version} 0 200"), "{args:?}: {output}");
        let echo = serde_json::from_str::<serde_json::Value>(body)?[0].clone();
        check_eq!(wrong, echo["scheme"], "https", "{args:?}: {echo}");
        check!(wrong, echo["authority"].as_str().is_some_and(|host| host.starts_with("a.test:")), "{args:?}: {echo}");
        check_eq!(wrong, echo["client_address"], "127.0.0.1", "{args:?}: {echo}");
    }
    let plain = reqwest::get(format!("http://{}/x", app.address())).await;
    check!(wrong, plain.is_err(), "plain HTTP is refused: {plain:?}");
    check!(wrong, curl(&app, &authority, "b.test", &[]).await.is_err(), "the name of the certificate is another one");
    Ok(())
}

#[tokio::test]
async fn http_2_can_be_turned_off() -> Result {
    let authority = Authority::new().await?;
    authority.sign("a", "DNS:a.test", "ec").await?;
    let server = with_certificate(&authority, "a");
    let args = ["-o", "/dev/null", "-w", "%{http_version}"];
    let mut wrong = Wrong::default();
    let app = start(&format!("{server}http2 = false\n")).await?;
    check_eq!(wrong, curl(&app, &authority, "a.test", &[&args[..], &["--http2"]].concat()).await?, "1.1", "ALPN");
    for (value, code) in [("true", "200"), ("false", "000")] {
        let app = start(&format!("[server]\nhttp2 = {value}\n")).await?;
        let url = format!("http://{}/x", app.address());
        let args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--http2-prior-knowledge", &url];
        let ran = timeout(PATIENCE, Command::new("curl").args(args).output()).await??;
        check_eq!(wrong, String::from_utf8_lossy(&ran.stdout), code, "h2c with http2 = {value}: {ran:?}");
        check_eq!(wrong, app.get("/x").await?.status, 200, "HTTP/1.1 with http2 = {value}");
    }
    Ok(())
}

#[tokio::test]
async fn clients_get_the_certificate_of_the_name_that_they_request() -> Result {
    let authority = Authority::new().await?;
    for (name, names, key) in [
        ("a", "DNS:a.test", "ec"),
        ("b", "DNS:b.test,DNS:bb.test", "rsa"),
        ("c", "DNS:*.c.test", "ec"),
        ("rsa", "DNS:a.test", "rsa"),
    ] {
        authority.sign(name, names, key).await?;
    }
    let mut server = with_certificate(&authority, "a");
    for name in ["b", "c", "rsa"] {
        let [cert, key] = ["pem", "key"].map(|end| authority.path(&format!("{name}.{end}")).display().to_string());
        server += &format!("[[server.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    }
    let app = start(&server).await?;
    let mut wrong = Wrong::default();
    for (args, subject) in [
        (["-servername", "a.test"].as_slice(), "a"),
        (&["-servername", "B.test"], "b"),
        (&["-servername", "bb.test"], "b"),
        (&["-servername", "x.c.test"], "c"),
        (&["-servername", "c.test"], "a"),
        (&["-servername", "other.test"], "a"),
        (&["-noservername"], "a"),
        // A client without ECDSA.
        (&["-servername", "a.test", "-sigalgs", "RSA-PSS+SHA256", "-tls1_3"], "rsa"),
    ] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", app.address()]).args(args).stdin(std::process::Stdio::null());
        let ran = timeout(PATIENCE, command.output()).await??;
        let output = String::from_utf8_lossy(&ran.stdout);
        let found = output.lines().find_map(|line| line.trim().strip_prefix("subject=")).unwrap_or_default();
        check_eq!(wrong, found.replace(' ', ""), format!("CN={subject}"), "{args:?}: {output}");
    }
    Ok(())
}

/// Number of replacements of the certificate under load.
const SWAPS: usize = 100;

#[tokio::test]
async fn no_request_fails_while_certificates_are_replaced() -> Result {
    let authority = Authority::new().await?;
    for name in ["one", "two"] {
        authority.sign(name, "DNS:a.test,IP:127.0.0.1", "ec").await?;
    }
    authority.serve("one")?;
    let app = start(&with_certificate(&authority, "served")).await?;
    let root = reqwest::Certificate::from_pem(&std::fs::read(authority.path("ca.pem"))?)?;
    let client = || reqwest::Client::builder().no_proxy().add_root_certificate(root.clone());
    // One client opens a connection for each request, the other one keeps its connection.
    let clients = [client().pool_max_idle_per_host(0).build()?, client().build()?];
    let (url, is_over, sent) =
        (format!("https://{}/x", app.address()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = clients.map(|client| {
        let (url, is_over, sent) = (url.clone(), is_over.clone(), sent.clone());
        tokio::spawn(async move {
            while !is_over.load(Relaxed) {
                let answer = client.get(&url).send().await?;
                assert_eq!(answer.status(), 200);
                answer.bytes().await?;
                sent.fetch_add(1, Relaxed);
            }
            Ok::<_, reqwest::Error>(())
        })
    });
    let mut seen = 0;
    for swap in 0..SWAPS {
        authority.serve(if swap % 2 == 0 { "two" } else { "one" })?;
        app.log.next(&mut seen, &["the certificates were replaced"]).await?;
    }
    is_over.store(true, Relaxed);
    for task in load {
        task.await??;
    }
    let sent = sent.load(Relaxed);
    assert!(sent > SWAPS, "only {sent} requests");
    Ok(())
}

#[tokio::test]
async fn a_broken_certificate_does_not_replace_the_old_one() -> Result {
    let authority = Authority::new().await?;
    for name in ["one", "two"] {
        authority.sign(name, "DNS:a.test", "ec").await?;
    }
    authority.serve("one")?;
    let app = start(&with_certificate(&authority, "served")).await?;
    let mut seen = 0;
    for broken in ["", "no certificate", &std::fs::read_to_string(authority.path("two.pem"))?] {
        std::fs::write(authority.path("served.pem"), broken)?;
        let line = app.log.next(&mut seen, &["the old certificates stay"]).await?;
        assert!(line["error"].as_str().is_some_and(|error| error.contains("served.pem")), "{line}");
        curl(&app, &authority, "a.test", &[]).await?;
    }
    std::fs::copy(authority.path("two.key"), authority.path("served.key"))?;
    app.log.next(&mut seen, &["the certificates were replaced"]).await?;
    curl(&app, &authority, "a.test", &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_begin_the_handshake_is_disconnected() -> Result {
    let authority = Authority::new().await?;
    authority.sign("a", "DNS:a.test", "ec").await?;
    let app = start(&with_certificate(&authority, "a")).await?;
    let mut silent = tokio::net::TcpStream::connect(app.address()).await?;
    let mut byte = [0; 1];
    let read = timeout(Duration::from_secs(30), silent.read(&mut byte)).await?;
    assert!(matches!(read, Ok(0) | Err(_)), "it was closed after 10 s");
    Ok(())
}

/// Runs a command of the program in a folder. Returns its exit code and its messages.
async fn run(folder: &Path, command: &str) -> Result<(Option<i32>, String)> {
    let ran = timeout(PATIENCE, carya().arg(command).current_dir(folder).output()).await??;
    Ok((ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned()))
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_their_key() -> Result {
    let authority = Authority::new().await?;
    for name in ["one", "two"] {
        authority.sign(name, "DNS:a.test", "ec").await?;
    }
    std::fs::write(authority.path("empty.pem"), "")?;
    let folder = authority.0.path();
    let mut wrong = Wrong::default();
    for (server, code, expected) in [
        ("tls_cert = \"one.pem\"", 2, "carya.toml:1: server.tls_key: is missing; `tls_cert` requires it"),
        ("[[server.certificate]]\ncert = \"one.pem\"\nkey = \"one.key\"", 2, "server.tls_cert: is missing"),
        (
            "tls_cert = \"one.pem\"\ntls_key = \"one.key\"\n[[server.certificate]]\ncert = \"two.pem\"",
            2,
            "server.certificate[0].key: is missing",
        ),
        ("tls_cert = \"no.pem\"\ntls_key = \"one.key\"", 1, "carya.toml:2: server.tls_cert: "),
        ("tls_cert = \"one.pem\"\ntls_key = \"no.key\"", 1, "carya.toml:3: server.tls_key: "),
        ("tls_cert = \"empty.pem\"\ntls_key = \"one.key\"", 1, "empty.pem has no certificate"),
        ("tls_cert = \"one.pem\"\ntls_key = \"two.key\"", 1, "one.pem cannot be used with the key in"),
        (
            "tls_cert = \"one.pem\"\ntls_key = \"one.key\"\n[[server.certificate]]\ncert = \"two.pem\"\nkey = \"one.key\"",
            1,
            "carya.toml:5: server.certificate[0].cert: ",
        ),
    ] {
        write(folder, &format!("[server]\n{server}\n"), &[])?;
        for command in ["check", "serve"] {
            let (found, messages) = run(folder, command).await?;
            check_eq!(wrong, found, Some(code), "{command} {server}: {messages}");
            check!(wrong, messages.contains(expected), "{command} {server}: {messages}");
        }
    }
    Ok(())
}
