//! Measures how soon a changed line of a guest is served, in each language: in a new project of `carya new`, with the
//! release program and both cores.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{
    client,
    contestants::Places,
    error::Result,
    measure::{Figure, Found, median},
    process::{self, free_port},
    rounds::Course,
};

/// A language of `carya new`.
struct Language {
    name: &'static str,
    lang: &'static str,
    source: &'static str,
    component: &'static str,
    /// Text of the configuration and the Makefile to replace, and its replacement.
    change: (&'static str, &'static str),
}

const LANGUAGES: [Language; 6] = [
    Language {
        name: "Rust",
        lang: "rust",
        source: "notes/src/lib.rs",
        component: "target/wasm32-wasip2/release/notes.wasm",
        change: ("", ""),
    },
    Language { name: "C", lang: "c", source: "notes/notes.c", component: "target/notes.wasm", change: ("", "") },
    Language {
        name: "JavaScript, QuickJS",
        lang: "js",
        source: "notes/notes.js",
        component: "build/notes.wasm",
        change: ("", ""),
    },
    Language {
        name: "TypeScript, QuickJS",
        lang: "ts",
        source: "notes/notes.ts",
        component: "build/notes.wasm",
        change: ("", ""),
    },
    Language {
        name: "JavaScript, StarlingMonkey",
        lang: "js",
        source: "notes/notes.js",
        component: "build/notes.wasm",
        change: ("carya-guest build", "carya-guest build -e starlingmonkey"),
    },
    Language {
        name: "Python",
        lang: "python",
        source: "notes/notes.py",
        component: "target/notes.wasm",
        change: ("", ""),
    },
];

/// The text of the error for a note without text, in all languages.
const TEXT: &str = "a note needs a text";
/// Pause between two requests that look for the changed text.
const PAUSE: Duration = Duration::from_millis(5);
/// Maximum time until a change is served. The first build in Rust compiles the dependencies of the guest.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns the approximate duration in seconds.
pub(crate) fn seconds(course: &Course<'_>) -> f64 {
    LANGUAGES.len() as f64 * (60.0 + 10.0 * course.rounds as f64)
}

pub(crate) async fn run(course: &mut Course<'_>) -> Result<Found> {
    let mut found = Found::default();
    for language in &LANGUAGES {
        course.progress.show(&format!("changes of a guest in {}", language.name));
        found.figures.extend(measure(language, course).await?);
    }
    Ok(found)
}

async fn measure(language: &Language, course: &Course<'_>) -> Result<Vec<Figure>> {
    let project = Project::create(language, course.places).await?;
    let built = project.build().await?;
    let cold = Instant::now();
    let mut server = project.serve(course.places)?;
    project.wait_for(&mut server, TEXT).await?;
    let mut text = TEXT.to_owned();
    let cold = cold.elapsed();
    let mut warm = Vec::new();
    for round in 0..course.rounds {
        let next = format!("{TEXT} ({round})");
        let begun = Instant::now();
        project.replace(&text, &next)?;
        project.wait_for(&mut server, &next).await?;
        warm.push(begun.elapsed().as_secs_f64());
        text = next;
    }
    server.kill().await?;
    let mut builds = Vec::new();
    for round in 0..course.rounds {
        let next = format!("{TEXT} [{round}]");
        project.replace(&text, &next)?;
        builds.push(project.build().await?.as_secs_f64());
        text = next;
    }
    let size = fs::metadata(project.folder.join(language.component))?.len();
    let figure = |what: &str, value, unit| Figure::new(&format!("{what}, {}", language.name), value, unit);
    Ok(vec![
        figure("first build of a project with its tools", built.as_secs_f64(), "s"),
        figure("build after a change", median(builds), "s"),
        figure("start of `carya dev` to the first response, without compiled code", cold.as_secs_f64(), "s"),
        figure("change to its response", median(warm), "s"),
        figure("component `notes`", size as f64 / 1000.0, "kB"),
    ])
}

/// A new project of a language.
struct Project {
    folder: PathBuf,
    carya: PathBuf,
    source: PathBuf,
    port: u16,
}

impl Project {
    async fn create(language: &Language, places: &Places) -> Result<Self> {
        let parent = places.scratch.join("edits");
        let name = language.name.to_lowercase().replace(", ", "-");
        let folder = parent.join(&name);
        remove(&folder)?;
        fs::create_dir_all(&parent)?;
        let carya = places.carya()?;
        let mut new = Command::new(&carya);
        new.args(["new", &name, "--lang", language.lang]).current_dir(&parent);
        process::run(&mut new).await?;
        let (old, new) = language.change;
        for file in ["carya.toml", "Makefile"] {
            let file = folder.join(file);
            fs::write(&file, fs::read_to_string(&file)?.replace(old, new))?;
        }
        Ok(Self { source: folder.join(language.source), folder, carya, port: free_port()? })
    }

    /// Builds the guests, and returns the duration.
    async fn build(&self) -> Result<Duration> {
        let begun = Instant::now();
        process::run(self.command("make").args(["build", "--silent"])).await?;
        Ok(begun.elapsed())
    }

    /// Starts `carya dev` with an empty cache of compiled code.
    fn serve(&self, places: &Places) -> Result<Child> {
        let cache = places.scratch.join("edits/cache");
        remove(&cache)?;
        let log = fs::File::create(self.folder.join("carya.log"))?;
        let mut dev = self.command(&self.carya);
        dev.arg("dev").kill_on_drop(true).stdout(log.try_clone()?).stderr(log);
        dev.env("CARYA_SERVER__LISTEN", format!("127.0.0.1:{}", self.port)).env("CARYA_SERVER__CACHE", cache);
        Ok(dev.spawn()?)
    }

    /// Returns a command in the folder of the project, on both cores. This program has only one of them.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", "0-1"]).arg(program).current_dir(&self.folder);
        command
    }

    fn replace(&self, old: &str, new: &str) -> Result {
        let source = fs::read_to_string(&self.source)?;
        if !source.contains(old) {
            return Err(format!("{} does not contain {old:?}", self.source.display()).into());
        }
        Ok(fs::write(&self.source, source.replace(old, new))?)
    }

    /// Sends a note without text until the error has this text.
    async fn wait_for(&self, server: &mut Child, text: &str) -> Result {
        let begun = Instant::now();
        let expected = format!("{text}\"");
        loop {
            let answer = client::request(self.port, "POST", "/notes", "".into()).await;
            if answer.is_ok_and(|(_, body)| String::from_utf8_lossy(&body).contains(&expected)) {
                return Ok(());
            }
            if let Some(status) = server.try_wait()? {
                return Err(format!("`carya dev` ended with {status}; see {}", self.log().display()).into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{text:?} was not served; see {}", self.log().display()).into());
            }
            sleep(PAUSE).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("carya.log")
    }
}

/// Removes a folder if it exists.
fn remove(folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
