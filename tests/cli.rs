//! Tests of the command line: output and exit codes.

mod check;
mod config;
mod inspect;
mod migrate;
mod new;
mod reset;
mod test;

use std::{path::Path, process::Stdio};

use super::support::{PATIENCE, Result, Wrong, carya, check, check_eq, write};

#[derive(Debug)]
struct Output {
    code: Option<i32>,
    out: String,
    /// Standard error, without the log.
    err: String,
}

impl Output {
    fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.out).map_err(|error| format!("{error}: {self:?}").into())
    }
}

/// Runs the program in a folder until it exits.
async fn run(folder: &Path, args: &[&str]) -> Result<Output> {
    let mut program = carya();
    if std::fs::read_to_string(folder.join("carya.toml")).is_ok_and(|config| config.contains("listen =")) {
        program.env_remove("CARYA_SERVER__LISTEN");
    }
    let running = program.args(args).current_dir(folder).env("CARYA_LOG", "off").output();
    let output = tokio::time::timeout(PATIENCE, running).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

#[tokio::test]
async fn help_lists_commands_and_exit_codes() -> Result {
    let folder = tempfile::tempdir()?;
    let help = run(folder.path(), &["--help"]).await?;
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    let mut wrong = Wrong::default();
    for word in ["serve", "dev", "check", "inspect", "routes", "new", "harden", "migrate", "Exit codes: 0", "CARYA_LOG"]
    {
        check!(wrong, help.out.contains(word), "{word}: {}", help.out);
    }
    let version = run(folder.path(), &["--version"]).await?;
    assert_eq!((version.code, version.out.trim()), (Some(0), concat!("carya ", env!("CARGO_PKG_VERSION"))));
    Ok(())
}

#[tokio::test]
async fn exit_codes_distinguish_usage_from_failure() -> Result {
    let folder = tempfile::tempdir()?;
    let table: [(&[&str], i32, &str); 7] = [
        (&[], 2, "Usage: carya"),
        (&["sevre"], 2, "similar subcommand exists: 'serve'"),
        (&["inspect"], 2, "<FILE>"),
        (&["new"], 2, "<NAME>"),
        (&["serve"], 2, "carya.toml: cannot be read: No such file or directory (os error 2); `carya new NAME` makes"),
        (&["check", "--config", "other.toml"], 2, "other.toml: cannot be read"),
        (&["inspect", "gone.wasm"], 1, "gone.wasm does not exist; build it"),
    ];
    let mut wrong = Wrong::default();
    for (args, code, message) in table {
        let ran = run(folder.path(), args).await?;
        check!(wrong, ran.code == Some(code) && ran.err.contains(message), "{args:?}: {ran:?}");
        check_eq!(wrong, ran.out, "", "{args:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_may_stop_early() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "", &[])?;
    let mut process = carya();
    process.arg("check").current_dir(folder.path()).env("CARYA_LOG", "off");
    let mut process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(process.stdout.take());
    let output = tokio::time::timeout(PATIENCE, process.wait_with_output()).await??;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn reports_all_problems_of_a_configuration() -> Result {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        "[server]\nlisten = \"8080\"\nmax_bdoy = 1\n[[route]]\npath = \"/x\"\ncomponent = \"nobody\"\n",
        &[],
    )?;
    let mut wrong = Wrong::default();
    for command in ["serve", "check", "routes", "migrate"] {
        let ran = run(folder.path(), &[command]).await?;
        check_eq!(wrong, (ran.code, ran.out.as_str()), (Some(2), ""), "{command}: {ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.err, @r#"
            error: carya.toml:2: server.listen: "8080" is not an address; write it as "127.0.0.1:8080" or "unix:/run/carya.sock"
            carya.toml:3: server.max_bdoy: unknown key; did you mean `max_body`?
            carya.toml:6: route[0].component: "nobody" is not a component of this file; there are none
            "#);
        }
    }
    Ok(())
}

#[tokio::test]
async fn reports_an_address_in_use_with_the_remedy() -> Result {
    let folder = tempfile::tempdir()?;
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = other.local_addr()?;
    write(folder.path(), &format!("[server]\nlisten = \"{address}\"\n"), &[])?;
    let ran = run(folder.path(), &["serve"]).await?;
    let in_use = "Address already in use (os error 98); end the process that uses it, or set another address\n";
    let expected = format!("error: carya.toml:2: server.listen: cannot listen on {address}: {in_use}");
    assert_eq!((ran.code, ran.err), (Some(1), expected));

    // The variable is named if it has set the address.
    write(folder.path(), "", &[])?;
    let mut command = carya();
    command.arg("serve").current_dir(folder.path()).env("CARYA_LOG", "off");
    let output = tokio::time::timeout(PATIENCE, command.env("CARYA_SERVER__LISTEN", address.to_string()).output());
    let told = String::from_utf8(output.await??.stderr)?;
    assert_eq!(told, format!("error: CARYA_SERVER__LISTEN: server.listen: cannot listen on {address}: {in_use}"));

    let listen = "[deploy]\ntoken = \"0123456789abcdef\"";
    write(folder.path(), &format!("{listen}\nlisten = \"{address}\"\n"), &[])?;
    let mut command = carya();
    command.arg("serve").current_dir(folder.path()).env("CARYA_LOG", "off");
    let told = String::from_utf8(tokio::time::timeout(PATIENCE, command.output()).await??.stderr)?;
    assert_eq!(told, format!("error: carya.toml:3: deploy.listen: cannot listen on {address}: {in_use}"));
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_its_option() -> Result {
    let folder = tempfile::tempdir()?;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut wrong = Wrong::default();
    for (to, cause) in [
        (format!("http://{free}"), "Connection refused (os error 111)"),
        ("unix:gone.sock".to_owned(), "No such file or directory (os error 2)"),
    ] {
        let ran = run(folder.path(), &["generations", "--to", &to]).await?;
        let remedy = "start the host with this address in deploy.listen, or correct --to";
        let expected = format!("error: cannot connect to {to} (--to): {cause}; {remedy}\n");
        check_eq!(wrong, (ran.code, ran.err.as_str()), (Some(1), expected.as_str()), "{to}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_filter_of_the_log_is_refused() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "log_level = \"debug\"\n", &[])?;
    let mut wrong = Wrong::default();
    for command in ["check", "serve", "migrate"] {
        let mut process = carya();
        process.arg(command).current_dir(folder.path()).env("CARYA_LOG", "info,carya::sqll=debug");
        let output = tokio::time::timeout(PATIENCE, process.output()).await??;
        let told = String::from_utf8(output.stderr)?;
        let key =
            "carya.toml:1: log_level: unknown key; the variable CARYA_LOG selects log lines, such as CARYA_LOG=debug";
        let variable = "CARYA_LOG: \"carya::sqll\" is not a target of log lines; did you mean `sql`?";
        check_eq!(wrong, (output.status.code(), told), (Some(2), format!("error: {key}\n{variable}\n")), "{command}");
    }
    Ok(())
}
