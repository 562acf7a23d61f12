//! Reloads: the swap to the next generation, the state that is kept, and broken changes, which are refused.

mod ahead;
mod away;
mod broken;
mod drain;
mod files;
mod kept;
mod load;
mod memory;
mod policy;
mod smoke;
mod times;

use std::{fs, path::Path, time::Duration};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::support::{App, Engine, Response, Result, guest, write};

/// A controller that plays scripts, a hook that sets `x-response-time` if it is the guest `timing`, a template and a
/// table.
const CONFIG: &str = r#"
    # one
    [templates]
    folder = "templates"
    [model]
    migrations = "migrations"
    [component.probe]
    path = "{guest:probe}"
    settings = { mark = "one" }
    [component.hook]
    path = "hook.wasm"
    [[hook]]
    component = "hook"
    priority = 1
    [[route]]
    path = "/{what}"
    component = "probe"
"#;

const FILES: [(&str, &str); 2] = [
    ("templates/page.html", "page one"),
    ("migrations/0001_marks.sql", "CREATE TABLE marks (mark VARCHAR(100) PRIMARY KEY NOT NULL)"),
];

const SERVED: &str = "a new generation is served";
const KEPT: &str = "the old generation stays";
const DRAINED: &str = "the old generation has drained";

/// Log filter without the many lines about requests.
const QUIET: (&str, &str) = ("CARYA_LOG", "info,carya::access=off,carya::lifecycle=off");

/// An application that is served with `--watch`, and the number of its log lines that were read.
struct Watched {
    app: App,
    seen: usize,
}

impl Watched {
    async fn start() -> Result<Self> {
        Self::start_on(Engine::Sqlite).await
    }

    async fn start_on(engine: Engine) -> Result<Self> {
        Self::start_in(engine.folder().await?, CONFIG, &FILES, &[]).await
    }

    async fn start_with(config: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, config, files, env).await
    }

    async fn start_in(folder: TempDir, config: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Self> {
        fs::copy(guest("timing"), folder.path().join("hook.wasm"))?;
        let env: Vec<_> = [QUIET].into_iter().chain(env.iter().copied()).collect();
        let app = App::run_in(folder, &["serve", "--watch"], config, files, &env).await?;
        let mut watched = Self { app, seen: 0 };
        watched.next("watching").await?;
        Ok(watched)
    }

    fn path(&self) -> &Path {
        self.app.folder.path()
    }

    /// Waits for the next log line whose message contains `text`.
    async fn next(&mut self, text: &str) -> Result<Json> {
        self.app.log.next(&mut self.seen, &[text]).await
    }

    /// Waits for the log line with the result of a change.
    async fn outcome(&mut self) -> Result<Json> {
        self.app.log.next(&mut self.seen, &[SERVED, KEPT]).await
    }

    /// Waits until a change is served. Returns the id of the generation.
    async fn served(&mut self) -> Result<String> {
        let line = self.outcome().await?;
        assert!(line["message"] == SERVED, "{line:#}");
        Ok(line["generation"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a change is refused. Returns the reason.
    async fn refused(&mut self) -> Result<String> {
        let line = self.outcome().await?;
        let message = line["message"].as_str().unwrap_or_default();
        Ok(message.strip_prefix(KEPT).ok_or_else(|| format!("it is served: {line:#}"))?.to_owned())
    }

    /// Replaces a file atomically.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> Result {
        let (path, draft) = (self.path().join(name), self.path().join(".draft"));
        fs::create_dir_all(path.parent().unwrap_or(self.path()))?;
        fs::write(&draft, content)?;
        Ok(fs::rename(draft, path)?)
    }

    fn put_config(&self, config: &str) -> Result {
        let draft = tempfile::tempdir_in(self.path())?;
        write(draft.path(), config, &[])?;
        Ok(fs::rename(draft.path().join("carya.toml"), self.path().join("carya.toml"))?)
    }

    /// Sends a script.
    async fn play(&self, method: &str, script: &Json) -> Result<Response> {
        Response::read(self.app.request(method, "/x").body(script.to_string()).send().await?).await
    }

    async fn page(&self) -> Result<Page> {
        Page::of(&self.play("GET", &show()).await?)
    }
}

/// The parts of a response that depend on the generation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    generation: String,
    /// The text of the template.
    text: String,
    has_timing: bool,
}

impl Page {
    fn of(answer: &Response) -> Result<Self> {
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, answer.text()).into());
        }
        Ok(Self {
            generation: answer.header("x-carya-generation").to_owned(),
            text: answer.text(),
            has_timing: !answer.header("x-response-time").is_empty(),
        })
    }
}

/// Returns a script that answers with the template.
fn show() -> Json {
    json!([{ "answer": { "template": { "name": "page.html", "context": {} } } }])
}

/// Returns the resident memory of the process, in KiB.
fn memory(app: &App) -> Result<i64> {
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
