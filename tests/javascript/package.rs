//! The npm package as it would be published: installed into an empty folder, it builds a program that the host serves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::support::{App, Result, Wrong, check};

/// Runs a shell command in a folder, and returns its output and whether it succeeded.
async fn shell(folder: &Path, command: &str) -> Result<(bool, String)> {
    let ran = Command::new("sh")
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .current_dir(folder)
        .env_remove("NODE_PATH")
        .kill_on_drop(true)
        .output()
        .await?;
    Ok((ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned()))
}

/// Returns whether this machine has the tools. Without them it is only a failure in CI.
pub async fn has_node() -> Result<bool> {
    let (found, _) = shell(Path::new("/"), "node --version && npm --version").await?;
    if !found {
        eprintln!("there is no node and npm: not tested");
    }
    Ok(found || std::env::var("CI").as_deref() == Ok("true"))
}

/// Packs the library into a folder, and returns the path of the archive.
async fn pack(folder: &Path) -> Result<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/javascript");
    let (packed, text) = shell(&library, &format!("npm pack --silent --pack-destination {}", folder.display())).await?;
    assert!(packed, "{text}");
    Ok(folder.join(text.trim()))
}

#[tokio::test]
async fn the_package_builds_a_program_in_an_empty_folder() -> Result {
    if !has_node().await? {
        return Ok(());
    }
    let (packages, project) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let package = pack(packages.path()).await?;
    // Most packages come from the cache of npm, after `make guests`.
    let install = format!("npm install --no-audit --no-fund --ignore-scripts --prefer-offline {}", package.display());
    let (installed, text) = shell(project.path(), &install).await?;
    assert!(installed, "{text}");

    let mut wrong = Wrong::default();
    for (file, program, expected) in [
        ("syntax.ts", "const x: number = ;", "syntax.ts:1:18"),
        ("missing.ts", "import 'missing-package';", "missing.ts:1:7"),
        ("thrown.ts", "\nthrow new Error('at the top');", "thrown.ts:2"),
        ("empty.ts", "export {};", "empty.ts registers no route, hook or action"),
        ("pattern.ts", "import { router } from 'carya-guest';\nrouter.get('/x/:id', () => 1);", "pattern.ts:2"),
        ("early.ts", "import { log } from 'carya-guest';\nlog.info('x');", "was called while the program was loaded"),
        ("absent.ts", "import { nothing } from 'carya-guest';\nnothing();", "absent.ts:1:9"),
    ] {
        fs::write(project.path().join(file), program)?;
        let (built, text) = shell(project.path(), &format!("npx carya-guest build {file} -o x.wasm")).await?;
        check!(wrong, !built && text.contains(expected), "{file}: {expected:?} is missing: {text}");
    }

    let program = "import { router } from 'carya-guest';\n\
                   router.get('/hello/{name}', async (req) => `Hello, ${req.params.name}!`);\n";
    fs::write(project.path().join("hello.ts"), program)?;
    let (built, text) = shell(project.path(), "npx carya-guest build hello.ts -o hello.wasm").await?;
    assert!(built && text.is_empty(), "{text}");
    let config = format!(
        "[component.hello]\npath = \"{}\"\n[[route]]\npath = \"/hello/{{name}}\"\ncomponent = \"hello\"\n",
        project.path().join("hello.wasm").display()
    );
    let app = App::start(&config, &[]).await?;
    assert_eq!(app.get("/hello/J%C3%BCrgen").await?.text(), "Hello, Jürgen!");
    assert_eq!(app.call("POST", "/hello/x").await?.status, 405);
    Ok(())
}
