//! `carya harden`: the rights of the guests' logins on real servers, without the gate.

mod mysql;
mod postgres;

use std::path::Path;

use super::support::{PATIENCE, Result, Wrong, carya, check, check_eq, write};

/// Password `s'e\cret`, percent-encoded for a URL. SQL must escape it.
const PASSWORD: &str = "s%27e%5Ccret";

/// URLs of a database: for its owner, and for two logins of guests that are named after the database.
pub struct Urls {
    pub admin: String,
    pub reader: String,
    pub writer: String,
}

impl Urls {
    pub fn new(admin: String, database: &str) -> Result<Self> {
        let (scheme, rest) = admin.split_once("://").ok_or("no scheme")?;
        let (_, place) = rest.rsplit_once('@').ok_or("no login")?;
        let login = |end: &str| format!("{scheme}://{database}_{end}:{PASSWORD}@{place}");
        Ok(Self { reader: login("ro"), writer: login("rw"), admin })
    }

    pub fn configure(&self, folder: &Path) -> Result {
        let Self { admin, reader, writer } = self;
        let config = format!("[database]\nurl = \"{writer}\"\nreader_url = \"{reader}\"\nadmin_url = \"{admin}\"\n");
        write(folder, &config, &[])
    }
}

/// Runs `carya harden`. Returns the exit code, standard output and standard error.
async fn harden(folder: &Path, args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let running = carya().arg("harden").args(args).current_dir(folder).env("CARYA_LOG", "off").output();
    let output = tokio::time::timeout(PATIENCE, running).await??;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

/// Runs `carya harden --apply`. Returns the findings that are still missing, without those that only the configuration
/// of the server can fix.
pub async fn apply(folder: &Path) -> Result<Vec<String>> {
    let (code, out, err) = harden(folder, &["--apply"]).await?;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!out.contains("cret") && !err.contains("cret"), "a password was printed: {out}{err}");
    let of_server = |line: &&str| {
        ["client_connection_check_interval", "max_prepared_transactions", "local_infile"]
            .iter()
            .any(|setting| line.starts_with(&format!("missing: {setting}")))
    };
    Ok(out
        .lines()
        .filter(|line| line.starts_with("missing"))
        .filter(|line| !of_server(line))
        .map(str::to_owned)
        .collect())
}

#[tokio::test]
async fn sqlite_has_nothing_to_harden() -> Result {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "[database]\nurl = \"sqlite:app.sqlite\"\n", &[])?;
    let mut wrong = Wrong::default();
    for args in [&[][..], &["--apply"], &["--check"]] {
        let (code, out, err) = harden(folder.path(), args).await?;
        check_eq!(wrong, (code, err.as_str()), (Some(0), ""), "{args:?}");
        check!(wrong, out.contains("nothing to harden") && out.contains("authorizer"), "{args:?}: {out}");
    }
    assert!(!folder.path().join("app.sqlite").exists());
    Ok(())
}

#[tokio::test]
async fn each_database_has_its_own_script() -> Result {
    let folder = tempfile::tempdir()?;
    let config = "[database]\nurl = \"mysql://walnut:x@127.0.0.1:1/app\"\n\
                  [database.log]\nurl = \"postgres://hickory:x@127.0.0.1:1/events\"\n";
    write(folder.path(), config, &[])?;
    let logins = ["walnut", "hickory"];
    for (args, expected) in
        [(&[][..], [true, true]), (&["--database", "default"], [true, false]), (&["--database", "log"], [false, true])]
    {
        let (code, out, err) = harden(folder.path(), args).await?;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(logins.map(|login| out.contains(login)), expected, "{out}");
    }
    let (code, _, err) = harden(folder.path(), &["--database", "lgo"]).await?;
    assert_eq!((code, err.as_str()), (Some(1), "error: there is no [database.lgo]\n"));
    Ok(())
}

#[tokio::test]
async fn the_login_of_the_owner_is_never_hardened() -> Result {
    let folder = tempfile::tempdir()?;
    let mut wrong = Wrong::default();
    for scheme in ["postgres", "mysql"] {
        let url = format!("{scheme}://owner:secret@127.0.0.1:1/app");
        write(folder.path(), &format!("[database]\nurl = \"{url}\"\nadmin_url = \"{url}\"\n"), &[])?;
        for args in [&[][..], &["--apply"]] {
            let (code, out, err) = harden(folder.path(), args).await?;
            check_eq!(wrong, (code, out.as_str()), (Some(1), ""), "{scheme:?} {args:?}");
            check!(
                wrong,
                err.contains("guests need separate logins") && !err.contains("secret"),
                "{scheme:?} {args:?}: {err}"
            );
        }
    }
    Ok(())
}
