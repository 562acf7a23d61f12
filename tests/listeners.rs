//! The sockets of the application: Unix sockets, those that systemd passes, and the redirect from plain HTTP.

mod redirect;

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpStream, process::Command, time::timeout};

use crate::{
    script::{ROUTE, start_again, start_with},
    support::{App, Engine, PATIENCE, Result, Wrong, carya, check, check_eq, servers::Front, write},
};

/// Sends a script by curl to a Unix socket. Returns the guest's output.
async fn curl(socket: &Path, args: &[&str]) -> Result<serde_json::Value> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--unix-socket"]).arg(socket).args(["-d", r#"[{"echo":true}]"#]).args(args);
    let ran = timeout(PATIENCE, command.arg("http://own.test/x").output()).await??;
    Ok(serde_json::from_slice::<serde_json::Value>(&ran.stdout).map_err(|error| format!("{error}: {ran:?}"))?[0]
        .clone())
}

async fn start(folder: &TempDir, server: &str) -> Result<App> {
    let listen = format!("unix:{}", folder.path().join("carya.sock").display());
    let config = format!("{ROUTE}[server]\n{server}\n");
    start_with(Engine::Sqlite, &config, &[("CARYA_SERVER__LISTEN", &listen)]).await
}

#[tokio::test]
async fn serves_on_a_unix_socket() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("carya.sock");
    let mut wrong = Wrong::default();
    for (server, mode) in [("", 0o660), ("listen_mode = '0600'", 0o600), ("listen_mode = '777'", 0o777)] {
        let app = start(&folder, server).await?;
        check_eq!(wrong, app.address(), format!("unix:{}", path.display()), "the log has the path");
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            let echo = curl(&path, &[http, "-H", "x-forwarded-for: 6.6.6.6"]).await?;
            let found = (&echo["client_address"], &echo["scheme"], &echo["authority"]);
            check_eq!(wrong, found, (&json!(null), &json!("http"), &json!("own.test")), "{http}: {echo}");
        }
        check_eq!(wrong, fs::metadata(&path)?.permissions().mode() & 0o777, mode, "{server}");
        check_eq!(wrong, app.stop().await?.1, Some(0), "{server}");
        check!(wrong, !path.exists(), "the file is removed at the end");
    }
    Ok(())
}

#[tokio::test]
async fn replaces_the_file_of_a_socket_without_a_process_and_no_other_file() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("carya.sock");
    let app = start(&folder, "").await?;
    let listen = app.address().to_owned();
    let application = tempfile::tempdir()?;
    write(application.path(), "[database]\nurl = 'sqlite://app.sqlite'\n", &[])?;
    let refused = async |reason: &str| -> Result {
        let mut second = carya();
        second.arg("serve").current_dir(application.path()).env("CARYA_SERVER__LISTEN", &listen);
        let ran = timeout(PATIENCE, second.output()).await??;
        let messages = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(1) && messages.contains(reason), "{messages}");
        Ok(())
    };
    refused("end the process that uses it, or set another address").await?;
    curl(&path, &[]).await?;
    let served = app.kill().await?;
    assert!(fs::metadata(&path)?.file_type().is_socket(), "a killed process leaves its file");
    drop(served);
    let app = start(&folder, "").await?;
    curl(&path, &[]).await?;

    // Another process has replaced the file.
    fs::remove_file(&path)?;
    fs::write(&path, "precious")?;
    app.stop().await?;
    assert_eq!(fs::read_to_string(&path)?, "precious");
    refused("the file exists and is not a socket").await?;
    assert_eq!(fs::read_to_string(&path)?, "precious");
    fs::remove_file(&path)?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
    drop(folder);
    refused("set a path in a folder that exists").await
}

#[tokio::test]
async fn the_client_behind_nginx_on_a_unix_socket_is_found() -> Result {
    let folder = tempfile::tempdir()?;
    let app = start(&folder, "trusted_proxies = ['unix']").await?;
    let directives = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let Some(nginx) = Front::nginx(&format!("{}:", app.address()), directives).await? else { return Ok(()) };
    let mut command = Command::new("curl");
    command.args(["-sS", "--interface", "127.0.0.2", "-d", r#"[{"echo":true}]"#, "-H", "x-forwarded-for: 6.6.6.6"]);
    let ran = timeout(PATIENCE, command.arg(format!("http://{}/x", nginx.address())).output()).await??;
    let output = String::from_utf8_lossy(&ran.stdout);
    assert!(output.contains(r#""client_address":"127.0.0.2""#), "{output}");
    // The socket does not trust addresses, and addresses do not trust the socket.
    let app = start_again(app.stop().await?.0, &format!("{ROUTE}[server]\ntrusted_proxies = ['unix']\n")).await?;
    let echo = app.request("POST", "/x").header("x-forwarded-for", "6.6.6.6").body(r#"[{"echo":true}]"#).send().await?;
    let output = echo.text().await?;
    assert!(output.contains(r#""client_address":"127.0.0.1""#), "{output}");
    Ok(())
}

/// Binds a TCP and a Unix socket as systemd does, and becomes the program in its arguments.
const ACTIVATE: &str = r#"
import os, socket, sys
tcp = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
low = [os.dup(s.fileno()) for s in (tcp, unix)]
while min(low) < 10:
    low = [os.dup(fd) for fd in low]
for number, fd in enumerate(low):
    os.dup2(fd, 3 + number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execvp(sys.argv[2], sys.argv[2:])
"#;

#[tokio::test]
async fn serves_on_all_sockets_that_systemd_passes() -> Result {
    let folder = tempfile::tempdir()?;
    let (script, path) = (folder.path().join("activate.py"), folder.path().join("carya.sock"));
    fs::write(&script, ACTIVATE)?;
    let shell = format!("exec python3 {} {} \"$0\" \"$@\"; false", script.display(), path.display());
    let config = format!("{ROUTE}[component.probe]\npath = \"{{guest:probe}}\"\n");
    let app = App::start_after(&shell, &config, &[("CARYA_SERVER__LISTEN", "systemd")]).await?;
    let (tcp, unix) = app.address().split_once(", ").ok_or("one address")?;
    assert_eq!(unix, format!("unix:{}", path.display()));
    let mut wrong = Wrong::default();
    check_eq!(wrong, curl(&path, &[]).await?["client_address"], json!(null), "the Unix socket");
    let answer = reqwest::Client::new().post(format!("http://{tcp}/x")).body(r#"[{"echo":true}]"#).send().await?;
    check!(wrong, answer.text().await?.contains(r#""client_address":"127.0.0.1""#), "the TCP socket");
    // Connections of both sockets end with the process.
    let tcp = tcp.to_owned();
    let mut open = TcpStream::connect(&tcp).await?;
    check_eq!(wrong, app.stop().await?.1, Some(0), "the end");
    let ended = tokio::io::AsyncReadExt::read(&mut open, &mut [0; 1]).await;
    check!(wrong, matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    check!(wrong, path.exists(), "the file of systemd stays");
    Ok(())
}

#[tokio::test]
async fn sockets_that_are_not_passed_are_reported() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[server]\nlisten = \"systemd\"\n", &[])?;
    let mut wrong = Wrong::default();
    for (fds, pid, reason) in [
        ("", "", "systemd has passed no socket"),
        // For another process.
        ("1", "1", "systemd has passed no socket"),
        ("x", "$$", "cannot listen on systemd"),
        // The descriptor is one of the host itself.
        ("1", "$$", "descriptor 3 of LISTEN_FDS is not a socket"),
        // Neither TCP nor a Unix stream socket.
        ("1", "$$ 3</dev/null", "descriptor 3 of LISTEN_FDS is not a socket"),
    ] {
        let program = carya();
        let mut shell = Command::new("sh");
        let (pid, redirection) = pid.split_once(' ').unwrap_or((pid, ""));
        let variables = if fds.is_empty() { String::new() } else { format!("LISTEN_FDS={fds} LISTEN_PID={pid} ") };
        shell.args(["-c", &format!("export {variables}X=; exec \"$0\" serve {redirection}")]);
        shell.arg(program.as_std().get_program()).current_dir(folder.path()).env_remove("CARYA_SERVER__LISTEN");
        let ran = timeout(PATIENCE, shell.output()).await??;
        let messages = String::from_utf8_lossy(&ran.stderr);
        check_eq!(wrong, ran.status.code(), Some(1), "{fds} {pid}: {messages}");
        check!(wrong, messages.contains("carya.toml:2: server.listen: cannot listen on systemd"), "{fds}: {messages}");
        check!(wrong, messages.contains(reason), "{fds} {pid}: {messages}");
        check!(wrong, messages.contains("start the .socket unit"), "{fds} {pid}: {messages}");
    }
    Ok(())
}
