//! The cache of compiled code: the host ignores a cache that other users can change, and replaces damaged entries.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use crate::support::{App, Log, Result, Wrong, carya, check_eq, module, write};

const CONFIG: &str = r#"
    [component.one]
    path = "one.wasm"
    [component.two]
    path = "two.wasm"
    [[route]]
    path = "/{*what}"
    component = "one"
    transaction = "none"
"#;

const UNUSED: &str = "compiled code is not kept";

/// Creates the folder of an application with two components. The tests create caches below it.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    for name in ["one", "two"] {
        fs::write(folder.path().join(name).with_extension("wasm"), module::echo(name)?)?;
    }
    Ok(folder)
}

/// Runs `carya check` in `folder`, with `cache` as the folder of the cache. Returns the log.
async fn check(folder: &Path, cache: &Path) -> Result<Vec<Json>> {
    let mut command = carya();
    command.args(["check", "--log-format", "json"]).current_dir(folder).env("CARYA_SERVER__CACHE", cache);
    logged(command).await
}

async fn logged(mut command: tokio::process::Command) -> Result<Vec<Json>> {
    let output = command.output().await?;
    let log = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{log}");
    Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn count(log: &[Json], message: &str) -> usize {
    log.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.contains(message))).count()
}

/// Returns the number of components that the host compiled, and the number that it loaded from the cache.
fn compiled(log: &[Json]) -> (usize, usize) {
    let exactly = |message: &str| log.iter().filter(|line| line["message"] == message).count();
    (exactly("compiled"), exactly("loaded"))
}

fn entries(cache: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(cache)?.map(|entry| Ok(entry?.path()));
    paths.filter(|path: &Result<PathBuf>| path.as_ref().is_ok_and(|path| path.is_file() || path.is_symlink())).collect()
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o7777)
}

fn set_mode(path: &Path, mode: u32) -> Result {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Returns whether this process runs as root, and thus can change the owner of files.
fn is_root(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|found| found.uid() == 0)
}

#[tokio::test]
async fn is_accessible_only_to_its_owner() -> Result {
    let folder = folder()?;
    let cache = folder.path().join("deep/cache");
    assert_eq!(compiled(&check(folder.path(), &cache).await?), (2, 0));
    assert_eq!([mode(&cache)?, mode(&folder.path().join("deep"))?], [0o700; 2]);
    let files = entries(&cache)?;
    assert_eq!(files.len(), 2, "one entry for each component, and no temporary files: {files:?}");
    for file in files {
        assert_eq!(mode(&file)?, 0o600, "{}", file.display());
    }
    assert_eq!(compiled(&check(folder.path(), &cache).await?), (0, 2));
    Ok(())
}

#[tokio::test]
async fn is_not_used_if_other_users_can_write() -> Result {
    let folder = folder()?;
    let above = folder.path().join("above");
    let cache = above.join("cache");
    check(folder.path(), &cache).await?;
    let before = entries(&cache)?;
    // The modes of the parent folder and of the cache, and the remedy in the log, or `None` if the host uses the cache.
    let table = [
        (0o755, 0o2775, Some("chmod 0700")),
        (0o755, 0o777, Some("chmod 0700")),
        (0o755, 0o1777, Some("chmod 0700")),
        (0o755, 0o770, Some("chmod 0700")),
        (0o777, 0o700, Some("chmod go-w")),
        (0o2775, 0o700, Some("chmod go-w")),
        (0o755, 0o2755, None),
        (0o1777, 0o755, None),
    ];
    let mut wrong = Wrong::default();
    for (outer, inner, fix) in table {
        let what = format!("{outer:o} {inner:o}");
        set_mode(&above, outer)?;
        set_mode(&cache, inner)?;
        let log = check(folder.path(), &cache).await?;
        let expected = if fix.is_some() { (2, 0) } else { (0, 2) };
        check_eq!(wrong, compiled(&log), expected, "{what}");
        check_eq!(wrong, count(&log, UNUSED), usize::from(fix.is_some()), "{what}: number of warnings: {log:#?}");
        if let Some(fix) = fix {
            let place = fs::canonicalize(if outer & 0o022 == 0 { &cache } else { &above })?;
            let fix = format!("run `{fix} {}`", place.display());
            check_eq!(wrong, (count(&log, &fix), count(&log, "server.cache")), (1, 1), "{what}: {log:#?}");
        }
    }
    set_mode(&cache, 0o777)?;
    for entry in &before {
        fs::remove_file(entry)?;
    }
    check(folder.path(), &cache).await?;
    assert_eq!(entries(&cache)?, Vec::<PathBuf>::new(), "nothing is written");
    Ok(())
}

#[tokio::test]
async fn is_not_used_if_another_user_owns_it() -> Result {
    let folder = folder()?;
    if !is_root(folder.path()) {
        eprintln!("skipped: only root can give files away");
        return Ok(());
    }
    let cache = folder.path().join("cache");
    check(folder.path(), &cache).await?;
    chown(&cache, Some(1234), None)?;
    let log = check(folder.path(), &cache).await?;
    assert_eq!((compiled(&log), count(&log, UNUSED), count(&log, "belongs to user 1234")), ((2, 0), 1, 1), "{log:#?}");

    // The host trusts a folder that root owns, also if the host runs as another user, unless users other than root can
    // write to the folder.
    chown(&cache, Some(0), None)?;
    let mut wrong = Wrong::default();
    for (mode, used) in [(0o777, false), (0o755, true)] {
        set_mode(&cache, mode)?;
        for entry in entries(&cache)? {
            set_mode(&entry, 0o644)?;
        }
        set_mode(folder.path(), 0o755)?;
        let mut command = tokio::process::Command::new("setpriv");
        command.args(["--reuid=1234", "--regid=1234", "--clear-groups", env!("CARGO_BIN_EXE_carya")]);
        command.args(["check", "--log-format", "json"]).current_dir(folder.path());
        command.env("CARYA_SERVER__CACHE", &cache).env("CARYA_SERVER__LISTEN", "127.0.0.1:0");
        let log = logged(command).await?;
        check_eq!(wrong, compiled(&log), if used { (0, 2) } else { (2, 0) }, "{mode:o}: {log:#?}");
        check_eq!(wrong, count(&log, "run `chmod go-w"), usize::from(!used), "{mode:o}: {log:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn is_found_behind_a_link() -> Result {
    let folder = folder()?;
    let (cache, link) = (folder.path().join("cache"), folder.path().join("link"));
    fs::create_dir(&cache)?;
    symlink(&cache, &link)?;
    let mut wrong = Wrong::default();
    for (mode, expected) in [(0o755, (2, 0)), (0o755, (0, 2)), (0o777, (2, 0))] {
        set_mode(&cache, mode)?;
        let log = check(folder.path(), &link).await?;
        check_eq!(
            wrong,
            (compiled(&log), count(&log, UNUSED)),
            (expected, usize::from(mode == 0o777)),
            "{mode:?}: {log:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn replaces_entries_that_are_damaged() -> Result {
    let folder = folder()?;
    let cache = folder.path().join("cache");
    check(folder.path(), &cache).await?;
    let entry = entries(&cache)?.remove(0);
    let whole = fs::read(&entry)?;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let damages = [
        ("empty", Vec::new()),
        ("a byte", vec![0]),
        ("a checksum alone", whole[whole.len() - 4..].to_vec()),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("without a checksum", whole[..whole.len() - 4].to_vec()),
        ("a bit in front", flipped(40)),
        ("a bit in the middle", flipped(whole.len() / 2)),
        ("a bit at the end", flipped(whole.len() - 1)),
        ("more at the end", [&whole[..], b"more"].concat()),
        ("text", b"this is no code, but it is long enough for a checksum".to_vec()),
    ];
    let mut wrong = Wrong::default();
    for (what, bytes) in damages {
        fs::write(&entry, bytes)?;
        let log = check(folder.path(), &cache).await?;
        check_eq!(
            wrong,
            (compiled(&log), count(&log, "compiling again: its checksum is wrong")),
            ((1, 1), 1),
            "{what}: {log:#?}"
        );
        check_eq!(wrong, compiled(&check(folder.path(), &cache).await?), (0, 2), "{what}: it was replaced");
    }
    Ok(())
}

#[tokio::test]
async fn replaces_entries_that_other_users_could_have_written() -> Result {
    let folder = folder()?;
    let cache = folder.path().join("cache");
    check(folder.path(), &cache).await?;
    let entry = entries(&cache)?.remove(0);
    type Change = fn(&Path) -> Result;
    let mut changes: Vec<(&str, Change)> = vec![
        ("writable by its group", |entry| set_mode(entry, 0o660)),
        ("writable by all users", |entry| set_mode(entry, 0o666)),
        ("a link", |entry| {
            let other = entry.with_extension("other");
            fs::rename(entry, &other)?;
            Ok(symlink(other, entry)?)
        }),
    ];
    if is_root(folder.path()) {
        changes.push(("another user's", |entry| Ok(chown(entry, Some(1234), None)?)));
    }
    let mut wrong = Wrong::default();
    for (what, change) in changes {
        change(&entry)?;
        let log = check(folder.path(), &cache).await?;
        check_eq!(wrong, (compiled(&log), count(&log, "compiling again: ")), ((1, 1), 1), "{what}: {log:#?}");
        check_eq!(wrong, (mode(&entry)?, fs::symlink_metadata(&entry)?.is_file()), (0o600, true), "{what}");
        check_eq!(wrong, compiled(&check(folder.path(), &cache).await?), (0, 2), "{what}: it was replaced");
    }
    Ok(())
}

/// `carya serve` also reports a cache that other users can change. It reports the cache once, and its reloads do not
/// use the cache.
#[tokio::test]
async fn is_reported_by_a_host_once() -> Result {
    let folder = folder()?;
    let cache = folder.path().join("cache");
    fs::create_dir(&cache)?;
    set_mode(&cache, 0o2775)?;
    let env = [("CARYA_SERVER__CACHE", cache.to_str().ok_or("the path of the cache is not UTF-8")?)];
    let app = App::start_in(folder, CONFIG, &[], &env).await?;
    fs::write(app.folder.path().join("one.wasm"), module::echo("three")?)?;
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(app.get("/x").await?.text(), "three/x");
    let reports = |log: &Log| count(&log.lines(), UNUSED);
    assert_eq!(reports(&app.log), 1);
    assert_eq!(entries(&cache)?.len(), 0);
    Ok(())
}
