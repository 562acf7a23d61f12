//! `carya new`: creates a project that builds and serves without changes, and overwrites no file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    super::{
        core_modules::c::has_clang,
        javascript::package,
        languages::is_built,
        support::{App, Result, Wrong, check, check_eq},
    },
    run,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the contents of all files of a folder, by relative path.
fn files(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            match path.is_dir() {
                // The packages of the JavaScript library are a link into the folder of tools.
                true if path.is_symlink() => {}
                // Compiled modules of Python.
                true if path.ends_with("__pycache__") => {}
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(folder)?.to_owned(), fs::read_to_string(&path)?)),
            }
        }
    }
    Ok(found)
}

/// Creates a project in a language, and compares its files with those of the templates and of the library.
async fn creates(language: &str, templates: &[&str], guest: &str) -> Result {
    let folder = tempfile::tempdir()?;
    let ran = run(folder.path(), &["new", "my-notes_2", "--lang", language]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.ends_with("\n    cd my-notes_2 && make\n"), "{}", ran.out);
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "there is more than the project");

    let mut expected = BTreeMap::new();
    for template in templates {
        expected.extend(files(&repository().join("host/template").join(template).join("project"))?);
    }
    for text in expected.values_mut() {
        *text = text.replace("{{name}}", "my-notes_2");
    }
    let mut library = files(&repository().join("guest").join(guest))?;
    library.retain(|path, _| {
        let is_left_out = ["Cargo.lock", "package-lock.json"].iter().any(|file| path == Path::new(file));
        let tests = if guest == "rust" { "tests" } else { "test" };
        !is_left_out && ![tests, "conformance", "node_modules"].iter().any(|folder| path.starts_with(folder))
    });
    expected.extend(library.into_iter().map(|(path, text)| (Path::new("vendor/carya-guest").join(path), text)));
    if language == "ts" {
        expected.retain(|path, _| path.starts_with("vendor") || path.extension().is_none_or(|it| it != "js"));
        expected.remove(Path::new("jsconfig.json"));
    }
    assert_eq!(files(&folder.path().join("my-notes_2"))?, expected);
    Ok(())
}

#[tokio::test]
async fn creates_the_template_and_the_library() -> Result {
    creates("rust", &["rust"], "rust").await?;
    creates("js", &["javascript"], "javascript").await?;
    creates("ts", &["javascript", "typescript"], "javascript").await
}

#[tokio::test]
async fn creates_the_template_and_the_library_of_python() -> Result {
    let folder = tempfile::tempdir()?;
    let ran = run(folder.path(), &["new", "notes", "--lang", "python"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));

    let mut expected = files(&repository().join("host/template/python/project"))?;
    for text in expected.values_mut() {
        *text = text.replace("{{name}}", "notes");
    }
    let library = files(&repository().join("guest/python/src"))?;
    expected.extend(library.into_iter().map(|(path, text)| (Path::new("vendor/carya-guest/src").join(path), text)));
    for name in ["README.md", "pyproject.toml"] {
        let text = fs::read_to_string(repository().join("guest/python").join(name))?;
        expected.insert(Path::new("vendor/carya-guest").join(name), text);
    }
    let found = files(&folder.path().join("notes"))?;
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test]
async fn overwrites_nothing() -> Result {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("file"), "mine")?;
    fs::create_dir(folder.path().join("folder"))?;
    std::os::unix::fs::symlink("nowhere", folder.path().join("link"))?;
    let mut wrong = Wrong::default();
    for name in ["file", "folder", "link"] {
        let ran = run(folder.path(), &["new", name]).await?;
        let expected = format!("error: {name} exists already; choose another name, or move it away\n");
        check_eq!(wrong, (ran.code, ran.out.as_str(), ran.err), (Some(1), "", expected), "{name:?}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file"))?, "mine");
    assert_eq!(fs::read_dir(folder.path().join("folder"))?.count(), 0);
    assert_eq!(fs::read_dir(folder.path())?.count(), 3, "something was left behind");
    Ok(())
}

#[tokio::test]
async fn refuses_invalid_names() -> Result {
    let folder = tempfile::tempdir()?;
    let mut wrong = Wrong::default();
    for name in ["", "9lives", "-x", "_x", ".", "..", "a/b", "../up", "a b", "a.b", "päckchen", &"x".repeat(65)] {
        let ran = run(folder.path(), &["new", "--", name]).await?;
        let message = "a name must begin with a letter and have at most 64 letters, digits, `-` and `_`";
        check!(wrong, ran.code == Some(2) && ran.err.contains(message), "{name:?}: {ran:?}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn adds_no_hook_outside_a_project_or_over_files() -> Result {
    let folder = tempfile::tempdir()?;
    let mut wrong = Wrong::default();
    let none = run(folder.path(), &["new", "--hook", "guard"]).await?;
    let message = "error: cannot read Cargo.toml; run this in a project of `carya new`";
    check!(wrong, none.code == Some(1) && none.err.starts_with(message), "outside a project: {none:?}");
    check_eq!(wrong, fs::read_dir(folder.path())?.count(), 0, "something was left behind");

    assert_eq!(run(folder.path(), &["new", "notes"]).await?.code, Some(0));
    let project = folder.path().join("notes");
    let before = files(&project)?;
    let taken = run(&project, &["new", "--hook", "greeting"]).await?;
    let message = "error: greeting exists already; choose another name, or move it away\n";
    check_eq!(wrong, (taken.code, taken.err.as_str()), (Some(1), message), "a guest with this name");
    check!(wrong, files(&project)? == before, "the project has changed");
    Ok(())
}

/// `make` compiles the guests with the tool chain of `guest-examples/`.
#[tokio::test]
async fn the_project_builds_and_serves() -> Result {
    let folder = tempfile::tempdir()?;
    assert_eq!(run(folder.path(), &["new", "notes"]).await?.code, Some(0));
    let project = folder.path().join("notes");
    let added = run(&project, &["new", "--hook", "my-guard"]).await?;
    let message = "Added the hook my-guard to Cargo.toml and carya.toml. Its code is in my-guard/src/lib.rs.\n";
    assert_eq!((added.code, added.out.as_str(), added.err.as_str()), (Some(0), message, ""));
    // All runs of this test share a target folder, so that dependencies are compiled once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new");
    fs::create_dir_all(&target)?;
    std::os::unix::fs::symlink(&target, project.join("target"))?;
    // The tests are compiled for this machine, so not with the tool chain of the guests.
    let script = r#"exports=$("$TOOLCHAIN") && (eval "$exports" && cargo fmt --check && make check) && make test"#;
    let made = Command::new("bash")
        .args(["-c", script])
        .current_dir(&project)
        .env("TOOLCHAIN", repository().join("guest-examples/toolchain.sh"))
        .env("CARYA", env!("CARGO_BIN_EXE_carya"))
        .env("CARYA_LOG", "off")
        .env_remove("LD_LIBRARY_PATH")
        .kill_on_drop(true)
        .output()
        .await?;
    let (out, err) = (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    assert!(made.status.success(), "{out}{err}");
    assert!(out.contains("sqlite://notes.sqlite") && out.contains("[\"0001_notes\"]"), "{out}");
    assert!(out.contains("test result: ok. 4 passed"), "{out}{err}");

    serves_notes(&project).await?;
    Ok(())
}

#[tokio::test]
async fn a_project_in_c_builds_and_serves() -> Result {
    if !has_clang() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let ran = run(folder.path(), &["new", "notes", "--lang", "c"]).await?;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let project = folder.path().join("notes");
    for folder in ["", "world"] {
        for file in fs::read_dir(repository().join("guest/c").join(folder))? {
            let file = file?;
            let vendored = project.join("vendor/carya-guest").join(folder).join(file.file_name());
            assert!(file.path().is_dir() || fs::read(&vendored)? == fs::read(file.path())?, "{vendored:?}");
        }
    }
    let added = run(&project, &["new", "--hook", "my-guard"]).await?;
    let message = "Added the hook my-guard to carya.toml. Its code is in my-guard/my-guard.c.\n";
    assert_eq!((added.code, added.out.as_str(), added.err.as_str()), (Some(0), message, ""));
    let tested = Command::new("make")
        .arg("test")
        .current_dir(&project)
        .env("CARYA", env!("CARGO_BIN_EXE_carya"))
        .env("CARYA_LOG", "off")
        .kill_on_drop(true)
        .output()
        .await?;
    let (out, err) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert!(tested.status.success() && out.matches("ok: ").count() == 3, "{out}{err}");

    let app = serves_notes(&project).await?;
    let made = app.post("/notes", "Größe \"1\"").await?;
    assert_eq!((made.status, made.json()?["text"].as_str()), (201, Some("Größe \"1\"")), "{}", made.text());
    let bytes = app.send("POST", "/notes", Default::default(), vec![0xff_u8, 0xfe]).await?;
    assert_eq!(bytes.status, 400, "{}", bytes.text());
    Ok(())
}

/// Serves a project with the hook `my-guard`, adds a note, and refuses an empty one.
async fn serves_notes(project: &Path) -> Result<App> {
    // `App` serves temporary folders only, so the project replaces an empty one.
    let served = tempfile::tempdir()?;
    fs::rename(project, served.path())?;
    let config = fs::read_to_string(served.path().join("carya.toml"))?;
    let app = App::start_in(served, &config, &[], &[]).await?;

    let none = app.get("/notes").await?;
    assert_eq!((none.status, none.text().as_str()), (200, "[]"));
    assert_eq!((none.header("x-greeting"), none.header("x-my-guard")), ("hello from notes", "1"));
    app.log.wait_for("GET /notes").await?;
    let made = app.post("/notes", "Pecans [roasted]").await?;
    assert_eq!((made.status, made.header("content-type")), (201, "application/json"), "{}", made.text());
    let note = made.json()?;
    assert_eq!((&note["id"], &note["text"]), (&1.into(), &"Pecans [roasted]".into()));
    assert_eq!(app.post("/notes", " \n").await?.status, 422);
    assert_eq!(app.get("/notes").await?.json()?, serde_json::json!([note]));
    assert_eq!(app.call("DELETE", "/notes").await?.status, 405);
    Ok(app)
}

#[tokio::test]
async fn a_project_in_typescript_builds_and_serves() -> Result {
    script_project("ts").await
}

#[tokio::test]
#[ignore = "installs 400 MB; the project in TypeScript has the same files"]
async fn a_project_in_javascript_builds_and_serves() -> Result {
    script_project("js").await
}

/// Builds, tests and serves a project in JavaScript or TypeScript, as its README describes.
async fn script_project(language: &str) -> Result {
    if !package::has_node().await? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    assert_eq!(run(folder.path(), &["new", "notes", "--lang", language]).await?.code, Some(0));
    let project = folder.path().join("notes");
    let added = run(&project, &["new", "--hook", "my-guard"]).await?;
    let message = format!("Added the hook my-guard to carya.toml. Its code is in my-guard/my-guard.{language}.\n");
    assert_eq!((added.code, added.out.as_str(), added.err.as_str()), (Some(0), message.as_str(), ""));
    let make = async |target: &str| -> Result<(bool, String)> {
        let made = Command::new("bash")
            .args(["-c", &format!("make {target} 2>&1")])
            .current_dir(&project)
            .env("CARYA", env!("CARGO_BIN_EXE_carya"))
            .env("CARYA_LOG", "off")
            .env_remove("NODE_PATH")
            .env("npm_config_prefer_offline", "true")
            .kill_on_drop(true)
            .output()
            .await?;
        Ok((made.status.success(), String::from_utf8_lossy(&made.stdout).into_owned()))
    };
    let (checked, out) = make("check").await?;
    assert!(checked && out.contains("[\"0001_notes\"]"), "{out}");
    let (tested, out) = make("test").await?;
    assert!(tested && out.contains("pass 3") && out.contains("fail 0"), "{out}");

    // A write through a reader has no type, and fails without the check of types.
    if language == "ts" {
        let path = project.join("notes/notes.ts");
        let source = fs::read_to_string(&path)?;
        fs::write(
            &path,
            source
                .replace("router.get('/notes', ()", "router.get('/notes', (req, db)")
                .replace("=> rows", "=> db.execute('') && rows"),
        )?;
        let (_, out) = make("check").await?;
        assert!(out.contains("notes/notes.ts("), "{out}");
        fs::write(&path, source)?;
        assert!(make("build").await?.0);
    }

    serves_notes(&project).await?;
    Ok(())
}

/// `make` installs the tools of the library from PyPI.
#[tokio::test]
async fn the_python_project_builds_and_serves() -> Result {
    if !is_built("items-python") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    assert_eq!(run(folder.path(), &["new", "notes", "--lang", "python"]).await?.code, Some(0));
    let project = folder.path().join("notes");
    let added = run(&project, &["new", "--hook", "my-guard"]).await?;
    let message = "Added the hook my-guard to carya.toml. Its code is in my_guard/my_guard.py.\n";
    assert_eq!((added.code, added.out.as_str(), added.err.as_str()), (Some(0), message, ""));
    let (controller, configuration) = (project.join("notes/notes.py"), project.join("carya.toml"));
    let late = "\n\n@get(\"/late\")\ndef late() -> str:\n    import wave\n\n    return wave.__name__\n";
    fs::write(&controller, fs::read_to_string(&controller)? + late)?;
    let route = "\n[[route]]\npath = \"/late\"\ncomponent = \"notes\"\n";
    fs::write(&configuration, fs::read_to_string(&configuration)? + route)?;
    let make = async |target: &str| {
        let mut command = Command::new("make");
        command.arg(target).env("CARYA", env!("CARGO_BIN_EXE_carya")).env("CARYA_LOG", "off");
        // The cache of `App`, because compiling takes longer than `App` waits for the host.
        command.env("CARYA_SERVER__CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/code"));
        command.env_remove("LD_LIBRARY_PATH").current_dir(&project).kill_on_drop(true).output().await
    };
    for (target, expected) in [("check", "[\"0001_notes\"]"), ("test", "Ran 3 tests")] {
        let made = make(target).await?;
        let (out, err) = (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
        assert!(made.status.success() && (out.contains(expected) || err.contains(expected)), "{target}: {out}{err}");
    }
    // An error of the build names the file and the line.
    let text = fs::read_to_string(&controller)?;
    fs::write(&controller, text.replace("db: Writer", "db: Reader").replace("import Body", "import Reader, Body"))?;
    let failed = make("build").await?;
    let err = String::from_utf8_lossy(&failed.stderr);
    let expected = format!(
        "error: {}:14: `create`: the parameter `db: Reader` must be `db: Writer`; POST /notes writes",
        controller.display()
    );
    assert!(!failed.status.success() && err.contains(&expected), "{err}");

    let served = tempfile::tempdir()?;
    fs::rename(&project, served.path())?;
    let config = fs::read_to_string(served.path().join("carya.toml"))?;
    let app = App::start_in(served, &config, &[], &[]).await?;
    let none = app.get("/notes").await?;
    assert_eq!((none.status, none.text().as_str(), none.header("x-greeting")), (200, "[]", "hello from notes"));
    assert_eq!(none.header("x-my-guard"), "1");
    app.log.wait_for("GET /notes").await?;
    let made = app.post("/notes", "Größe").await?;
    assert_eq!((made.status, made.json()?["text"].as_str()), (201, Some("Größe")), "{}", made.text());
    assert_eq!(app.post("/notes", " \n").await?.status, 422);
    assert_eq!(app.get("/notes").await?.json()?[0], made.json()?);

    // A component has no files from which it could load a module later.
    let late = app.get("/late").await?;
    let id = late.header("x-request-id");
    let failed = |line: &serde_json::Value| line["request"] == id && line["level"] == "ERROR";
    let line = app.log.wait_until("the failed import", failed).await?;
    let message = line["message"].as_str().unwrap_or_default();
    let expected = "the module `wave` is not in the component, which has no files at run time: move the import to the \
                    top of the file";
    assert!(message.contains(expected) && message.contains("notes.py:24 in late"), "{message}");
    Ok(())
}
