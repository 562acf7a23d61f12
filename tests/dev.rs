//! `carya dev`: builds components when their sources change, and prints the results.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

use super::support::{PATIENCE, Response, Result, Wrong, carya, check, guest, write};

/// Configuration with a hook that [`BUILD`] builds.
const CONFIG: &str = r#"
    [server]
    listen = "127.0.0.1:0"
    [component.probe]
    path = "{guest:probe}"
    [component.hook]
    path = "dist/hook.wasm"
    build = "sh build.sh"
    source = "hook"
    [[hook]]
    component = "hook"
    [[route]]
    path = "/{what}"
    component = "probe"
    transaction = "none"
"#;

/// Build script. Prints `compiling`, fails if `hook/main.txt` contains `broken`, waits for the file `go` if `hook/slow`
/// exists, and then copies the component that `hook/main.txt` names.
const BUILD: &str = "echo compiling
if grep -q broken hook/main.txt; then echo 'error: hook/main.txt is broken' >&2; exit 3; fi
[ ! -f hook/slow ] || until [ -f go ]; do sleep 0.02; done
mkdir -p dist && cp \"$(cat hook/main.txt)\" dist/.new && mv dist/.new dist/hook.wasm
";

/// A running `carya dev`, and all lines that it prints: its own messages, the output of builds and the log.
struct Dev {
    folder: TempDir,
    lines: Arc<Mutex<Vec<String>>>,
    news: watch::Receiver<usize>,
    seen: usize,
    process: Child,
}

impl Dev {
    fn run(folder: TempDir, env: &[(String, String)]) -> Result<Self> {
        let mut command = carya();
        command.arg("dev").current_dir(folder.path()).env("CARYA_DEBUG", "true").env("CARYA_LOG", "warn");
        command.envs(env.iter().cloned());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (tell, news) = watch::channel(0);
        let (lines, tell) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tell));
        let out = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let err = BufReader::new(process.stderr.take().ok_or("no errors")?).lines();
        macro_rules! follow {
            ($stream:ident) => {
                let (lines, tell, mut stream) = (lines.clone(), tell.clone(), $stream);
                tokio::spawn(async move {
                    while let Ok(Some(line)) = stream.next_line().await {
                        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                        lines.push(line);
                        tell.send_replace(lines.len());
                    }
                });
            };
        }
        follow!(out);
        follow!(err);
        Ok(Self { folder, lines, news, seen: 0, process })
    }

    /// Starts with [`CONFIG`] and the text of `hook/main.txt`.
    fn start(source: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write(folder.path(), CONFIG, &[("build.sh", BUILD), ("hook/main.txt", source)])?;
        Self::run(folder, &[])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the next line that contains `text`. Skips the lines before it.
    async fn next(&mut self, text: &str) -> Result<String> {
        let find = |seen: usize| {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines
                .iter()
                .enumerate()
                .skip(seen)
                .find(|(_, line)| line.contains(text))
                .map(|(at, line)| (at, line.clone()))
        };
        let (mut news, seen) = (self.news.clone(), self.seen);
        let waiting = async {
            loop {
                news.mark_unchanged();
                match find(seen) {
                    None => news.changed().await.ok()?,
                    found => return found,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_default();
        let (at, line) = found.ok_or_else(|| format!("no {text:?} after line {seen} of {:#?}", self.messages()))?;
        self.seen = at + 1;
        Ok(line)
    }

    fn messages(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first generation. Returns its address.
    async fn address(&mut self) -> Result<String> {
        let line = self.next("serving http://").await?;
        let address = line.split([' ', ',']).find(|word| word.starts_with("http://")).ok_or(line.clone())?;
        Ok(address.to_owned())
    }

    async fn stop(mut self) -> Result<Vec<String>> {
        let pid = self.process.id().unwrap_or_default().to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await??;
        assert_eq!(status.code(), Some(0));
        Ok(self.messages())
    }
}

async fn has_timing(address: &str) -> Result<bool> {
    let answer = Response::read(reqwest::get(format!("{address}/x")).await?).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(!answer.header("x-response-time").is_empty())
}

fn source(name: &str) -> String {
    guest(name).display().to_string()
}

#[tokio::test]
async fn builds_missing_components_and_then_changed_ones() -> Result {
    let mut dev = Dev::start(&source("timing"))?;
    assert_eq!(dev.next("building").await?, "building hook: sh build.sh");
    dev.next("compiling").await?;
    dev.next("built hook in ").await?;
    let address = dev.address().await?;
    dev.next("/{what}").await?;
    assert!(has_timing(&address).await?);

    fs::write(dev.path("hook/main.txt"), source("trace-hook"))?;
    assert_eq!(dev.next("changed").await?, "hook/main.txt changed");
    dev.next("built hook in ").await?;
    let line = dev.next("changed").await?;
    assert!(
        line.starts_with("dist/hook.wasm changed: served after ") && line.ends_with("with the same routes"),
        "{line}"
    );
    assert!(!has_timing(&address).await?);

    // A new file in a new folder.
    fs::create_dir_all(dev.path("hook/deep/down"))?;
    fs::write(dev.path("hook/deep/down/more.txt"), "more")?;
    dev.next("hook/deep/down/more.txt changed").await?;
    assert_eq!(dev.next("dist/hook.wasm").await?, "dist/hook.wasm is unchanged");
    // Changed routes are listed.
    let text = fs::read_to_string(dev.path("carya.toml"))?;
    fs::write(dev.path("carya.toml"), text.replace("/{what}", "/else/{what}"))?;
    assert!(dev.next("carya.toml changed: served after ").await?.ends_with("with other"));
    dev.next("/else/{what}").await?;
    dev.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_build_that_fails_changes_nothing() -> Result {
    let mut dev = Dev::start(&source("timing"))?;
    let address = dev.address().await?;
    fs::write(dev.path("hook/main.txt"), "broken")?;
    // The error of the build script, then the message of `carya dev`.
    dev.next("error: hook/main.txt is broken").await?;
    let line = dev.next("hook not built, exit status: 3 after ").await?;
    assert!(line.ends_with("; the served generation stays"), "{line}");
    assert!(has_timing(&address).await?);
    // The build succeeds, but the host cannot serve the component.
    fs::write(dev.path("garbage"), "garbage")?;
    fs::write(dev.path("hook/main.txt"), "garbage")?;
    assert!(dev.next("not served: ").await?.contains("this is not a WebAssembly file"));
    dev.next(" stays").await?;
    assert!(has_timing(&address).await?);
    fs::write(dev.path("hook/main.txt"), source("trace-hook"))?;
    dev.next("dist/hook.wasm changed: served after ").await?;
    assert!(!has_timing(&address).await?);
    Ok(())
}

#[tokio::test]
async fn waits_for_a_better_build_if_the_first_one_fails() -> Result {
    let mut dev = Dev::start("broken")?;
    dev.next("hook not built, exit status: 3").await?;
    dev.next("hook is needed to serve; waiting for a change").await?;
    fs::write(dev.path("hook/main.txt"), source("timing"))?;
    let address = dev.address().await?;
    assert!(has_timing(&address).await?);
    Ok(())
}

#[tokio::test]
async fn one_build_at_a_time_and_another_for_later_changes() -> Result {
    let mut dev = Dev::start(&source("timing"))?;
    let address = dev.address().await?;
    fs::write(dev.path("hook/slow"), "")?;
    dev.next("compiling").await?;
    // Make three changes while the build waits for the file `go`.
    for name in ["timing", "probe", "trace-hook"] {
        fs::write(dev.path("hook/main.txt"), source(name))?;
    }
    fs::write(dev.path("go"), "")?;
    dev.next("built hook in ").await?;
    dev.next("compiling").await?;
    dev.next("built hook in ").await?;
    while has_timing(&address).await? {
        dev.next("dist/hook.wasm changed: served after ").await?;
    }
    let said = dev.stop().await?;
    let builds = said.iter().filter(|line| *line == "compiling").count();
    assert_eq!(builds, 3, "the first one, the slow one, one for all that came meanwhile: {said:#?}");
    Ok(())
}

#[tokio::test]
async fn generated_files_are_no_sources() -> Result {
    let mut dev = Dev::start(&source("timing"))?;
    dev.address().await?;
    for name in ["target/x", "node_modules/x", ".git/index", ".main.txt.swp", "main.txt~", "#main.txt#"] {
        let path = dev.path("hook").join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        fs::write(path, "made")?;
    }
    // If a program writes the same text again, `carya dev` must not build again.
    fs::write(dev.path("hook/main.txt"), source("timing"))?;
    fs::write(dev.path("hook/other.txt"), "by hand")?;
    assert_eq!(dev.next("changed").await?, "hook/other.txt changed");
    dev.next("built hook in ").await?;
    let said = dev.stop().await?;
    assert_eq!(said.iter().filter(|line| *line == "compiling").count(), 2, "{said:#?}");
    Ok(())
}

#[tokio::test]
async fn components_with_one_command_share_a_build() -> Result {
    let folder = tempfile::tempdir()?;
    let more = r#"
        [component.other]
        path = "dist/hook.wasm"
        build = "sh build.sh"
        source = "hook"
        [component.gone]
        path = "dist/gone.wasm"
        build = "true"
        source = "hook"
    "#;
    write(folder.path(), &format!("{CONFIG}{more}"), &[("build.sh", BUILD), ("hook/main.txt", &source("timing"))])?;
    let mut dev = Dev::run(folder, &[])?;
    dev.next("but dist/gone.wasm does not exist; component.gone.path must be the file that the command writes").await?;
    dev.next("built hook, other in ").await?;
    dev.next("gone is needed to serve; waiting for a change").await?;
    fs::write(dev.path("carya.toml"), fs::read_to_string(dev.path("carya.toml"))?.replace("gone.wasm", "hook.wasm"))?;
    dev.address().await?;
    Ok(())
}

#[tokio::test]
async fn a_component_that_is_older_than_its_sources_is_built_first() -> Result {
    let folder = tempfile::tempdir()?;
    let files = [("build.sh", BUILD), ("hook/main.txt", &*source("trace-hook"))];
    write(folder.path(), CONFIG, &files)?;
    fs::create_dir(folder.path().join("dist"))?;
    fs::copy(guest("timing"), folder.path().join("dist/hook.wasm"))?;
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().append(true).open(folder.path().join("dist/hook.wasm"))?.set_modified(old)?;
    let mut dev = Dev::run(folder, &[])?;
    dev.next("built hook in ").await?;
    assert!(!has_timing(&dev.address().await?).await?);
    let folder = {
        let (empty, said) = (tempfile::tempdir()?, dev.messages());
        assert_eq!(said.iter().filter(|line| *line == "compiling").count(), 1);
        std::mem::replace(&mut dev.folder, empty)
    };
    dev.stop().await?;
    // The component is now newer than its sources, so the next start does not build.
    let mut again = Dev::run(folder, &[])?;
    again.address().await?;
    assert!(!again.messages().contains(&"compiling".to_owned()), "{:#?}", again.messages());
    Ok(())
}

/// `carya dev` builds a project of `carya new` with the tool chain of `guest-examples/`.
#[tokio::test]
async fn a_new_project_is_built_served_and_built_again() -> Result {
    let folder = tempfile::tempdir()?;
    let made = carya().args(["new", "notes"]).current_dir(folder.path()).output().await?;
    assert!(made.status.success(), "{made:?}");
    let served = tempfile::tempdir()?;
    fs::rename(folder.path().join("notes"), served.path())?;
    // All runs of this test share a target folder, so that dependencies are compiled once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev");
    fs::create_dir_all(&target)?;
    std::os::unix::fs::symlink(&target, served.path().join("target"))?;
    let script = r#"exports=$("$0") && eval "$exports" && env"#;
    let toolchain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/toolchain.sh");
    let env = Command::new("bash").args(["-c", script]).arg(toolchain).env_remove("LD_LIBRARY_PATH").output().await?;
    let wanted = ["RUSTC", "PATH", "CARGO_TARGET_WASM32_WASIP2_LINKER"];
    let env = String::from_utf8(env.stdout)?;
    let env = env.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| wanted.contains(name));
    let listen = ("CARYA_SERVER__LISTEN", "127.0.0.1:0");
    let env: Vec<_> = env.chain([listen]).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();

    let mut dev = Dev::run(served, &env)?;
    let address = dev.address().await?;
    let list = Response::read(reqwest::get(format!("{address}/notes")).await?).await?;
    assert_eq!((list.status, list.text().as_str()), (200, "[]"));
    // A change that does not compile, then a change that does.
    let path = dev.path("notes/src/lib.rs");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("LIMIT 100", "LIMIT 99\" \""))?;
    dev.next("error").await?;
    dev.next("notes not built, exit status").await?;
    fs::write(&path, text.replace("SELECT id, text", "SELECT 7 AS luck, id, text"))?;
    dev.next("built notes in").await?;
    dev.next("notes.wasm changed: served after").await?;
    let note = reqwest::Client::new().post(format!("{address}/notes")).body("Pecans").send().await?;
    assert_eq!(note.status(), 201);
    let list = Response::read(reqwest::get(format!("{address}/notes")).await?).await?;
    assert_eq!(list.json()?[0]["luck"], 7, "{}", list.text());
    println!("{:#?}", dev.stop().await?);
    Ok(())
}

#[tokio::test]
async fn reports_an_edited_migration_with_the_remedy() -> Result {
    let folder = tempfile::tempdir()?;
    let config = "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"sqlite:app.sqlite\"\n[model]\nmigrations = \"migrations\"\n";
    write(folder.path(), config, &[("migrations/0001_first.sql", "CREATE TABLE a (x)")])?;
    let mut dev = Dev::run(folder, &[])?;
    dev.next("serving http://").await?;
    let mut wrong = Wrong::default();
    for (text, change) in [
        ("CREATE TABLE a (x, y)", "is not the text that ran"),
        ("CREATE TABLE a (x)\r\n", "has other line ends or spaces at its end"),
    ] {
        fs::write(dev.path("migrations/0001_first.sql"), text)?;
        let line = dev.next(&format!("migrations/0001_first.sql {change}")).await?;
        check!(wrong, line.starts_with("not served: ") && line.contains("`carya migrate --reset`"), "{text:?}: {line}");
    }
    fs::remove_file(dev.path("migrations/0001_first.sql"))?;
    fs::write(dev.path("migrations/0002_second.sql"), "CREATE TABLE b (x)")?;
    let line = dev.next("migration 1 was previously applied but is missing").await?;
    assert!(line.contains("put the file 0001_first.sql back") && line.contains("`carya migrate --reset`"), "{line}");
    Ok(())
}
