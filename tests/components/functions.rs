//! Compiled functions in the cache: if a large component changes, the host compiles only its changed functions.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::support::{Result, Wrong, carya, check, check_eq, module, write};

const CONFIG: &str = r#"
    [component.it]
    path = "it.wasm"
    [[route]]
    path = "/{*what}"
    component = "it"
    transaction = "none"
"#;

/// An empty custom section with the name `x`.
const SECTION: [u8; 4] = [0, 2, 1, b'x'];

const REMOVED: &str = "removing compiled functions";

/// Returns a component that is so large that the host keeps its functions.
fn large() -> Result<Vec<u8>> {
    let mut component = module::component(&module::echo("it")?)?;
    // A custom section of 1 MiB: the length of the rest in LEB128, the length of the name, the name, the content.
    component.extend([0, 0x82, 0x80, 0x40, 1, b'x']);
    component.extend(vec![0; 1 << 20]);
    Ok(component)
}

/// Creates the folder of an application.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), CONFIG, &[])?;
    Ok(folder)
}

/// Numbers of a compilation, and its log.
struct Compiled {
    functions: u64,
    reused: u64,
    log: Vec<Json>,
}

impl Compiled {
    fn count(&self, message: &str) -> usize {
        self.log.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.contains(message))).count()
    }
}

/// Returns the compiled code of a component in the cache of `folder`.
fn code(folder: &Path, component: &[u8]) -> Result<Vec<u8>> {
    let digest = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut paths = fs::read_dir(folder.join("cache"))?.map(|entry| Ok(entry?.path()));
    let is_entry = |path: &Result<PathBuf>| {
        path.as_ref().is_ok_and(|path| {
            path.extension().is_some_and(|extension| extension == "cwasm") && path.to_string_lossy().contains(&digest)
        })
    };
    Ok(fs::read(paths.find(is_entry).ok_or("no entry")??)?)
}

/// Runs `carya check` in `folder` with a component, which must be compiled.
async fn check(folder: &Path, component: &[u8]) -> Result<Compiled> {
    fs::write(folder.join("it.wasm"), component)?;
    let mut command = carya();
    command.args(["check", "--log-format", "json"]).current_dir(folder);
    command.env("CARYA_SERVER__CACHE", folder.join("cache")).env("CARYA_LOG", "info,carya::component=debug");
    let output = command.output().await?;
    let log = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{log}");
    let log: Vec<Json> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let record = log.iter().find(|line| line["message"] == "compilation finished").ok_or("nothing was compiled")?;
    let number = |field: &str| record[field].as_u64().ok_or(format!("{field} in {record}"));
    Ok(Compiled { functions: number("functions")?, reused: number("reused")?, log })
}

/// Returns the packs of compiled functions in the cache.
fn packs(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder.join("cache"))?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().contains(".functions")).collect())
}

/// Returns a component with a further section at its end, so that its digest is new.
fn changed(component: &[u8]) -> Vec<u8> {
    [component, &SECTION].concat()
}

#[tokio::test]
async fn are_reused_if_a_large_component_changes() -> Result {
    let folder = folder()?;
    let one = large()?;
    let first = check(folder.path(), &one).await?;
    assert!(first.functions > 2, "{}", first.functions);
    assert_eq!(first.reused, 0);
    let second = check(folder.path(), &changed(&one)).await?;
    assert_eq!(second.functions, first.functions);
    // The compiler may give an unchanged function a second key; see `component/code/functions.rs`.
    assert!(second.reused > first.functions / 2, "{} of {}", second.reused, first.functions);
    for pack in packs(folder.path())? {
        assert_eq!(fs::metadata(&pack)?.permissions().mode() & 0o7777, 0o600, "{}", pack.display());
    }

    let other = self::folder()?;
    assert_eq!(check(other.path(), &changed(&one)).await?.reused, 0);
    let [reused, compiled] = [folder.path(), other.path()].map(|folder| code(folder, &changed(&one)));
    assert!(reused? == compiled?, "code from reused functions differs from code of a compilation without them");
    Ok(())
}

#[tokio::test]
async fn of_a_small_component_are_not_kept() -> Result {
    let folder = folder()?;
    let small = module::component(&module::echo("it")?)?;
    check(folder.path(), &small).await?;
    let second = check(folder.path(), &changed(&small)).await?;
    assert_eq!((second.reused, packs(folder.path())?), (0, Vec::new()));
    Ok(())
}

#[tokio::test]
async fn are_compiled_again_if_they_are_damaged_or_not_private() -> Result {
    let folder = folder()?;
    let one = large()?;
    let first = check(folder.path(), &one).await?;
    let pack = packs(folder.path())?.remove(0);
    let whole = fs::read(&pack)?;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    // All functions, because the compiler may give one of them another key, and does not read its code then. The index behind
    // them has a row of 48 bytes for each function, and 16 bytes for the end.
    let mut functions = whole.clone();
    let index = 48 * usize::try_from(first.functions)? + 16;
    functions[..whole.len() - index].iter_mut().for_each(|byte| *byte ^= 0x10);
    let mut wrong = Wrong::default();
    let damages = [
        ("empty", Vec::new(), 0o600),
        ("cut off", whole[..whole.len() / 2].to_vec(), 0o600),
        ("all functions", functions, 0o600),
        ("a bit of the index", flipped(whole.len() - 30), 0o600),
        ("a bit at the end", flipped(whole.len() - 1), 0o600),
        ("text", b"this is no code, but it is long enough for an index".to_vec(), 0o600),
        ("writable by its group", whole.clone(), 0o660),
    ];
    let mut component = one;
    for (what, bytes, mode) in damages {
        packs(folder.path())?.iter().try_for_each(fs::remove_file)?;
        fs::write(&pack, bytes)?;
        fs::set_permissions(&pack, Permissions::from_mode(mode))?;
        component = changed(&component);
        let again = check(folder.path(), &component).await?;
        check_eq!(wrong, again.functions, first.functions, "{what}");
        check!(wrong, again.reused < first.functions, "{what}: {} were reused", again.reused);
        check_eq!(wrong, (again.count(REMOVED), pack.exists()), (1, false), "{what}: {:#?}", again.log);
        // The functions that were compiled again are kept.
        component = changed(&component);
        let next = check(folder.path(), &component).await?;
        check_eq!(wrong, next.count(REMOVED), 0, "{what}");
        // The compiler may give an unchanged function a second key.
        check!(wrong, next.reused > first.functions / 4, "{what}: reused {} of {}", next.reused, first.functions);
    }
    Ok(())
}
