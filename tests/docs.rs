//! The README, the book and the other Markdown files: their snippets work, their commands and options exist, and their
//! links lead somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use carya::config::parse;

use super::support::{Result, Wrong, carya};

/// Outcome of a check, with the problem.
type Checked = std::result::Result<(), String>;

/// Markdown files outside the book.
const FILES: [&str; 5] =
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "host/ARCHITECTURE.md", "guest-examples/README.md"];

/// Folders with the code of guests that snippets may show. Other tests build and run it.
const SHOWN: [&str; 2] = ["host/template", "guest-examples"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the paths below a folder that end with `extension`, relative to the root of the repository.
fn files(folder: &str, extension: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        let is_built = ["target", "dist", "node_modules"].contains(&&*entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() && !is_built {
            found.extend(files(&path, extension)?);
        } else if path.ends_with(extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the Markdown files with their texts.
fn documents() -> Result<Vec<(String, String)>> {
    let paths = FILES.into_iter().map(str::to_owned).chain(files("docs/src", ".md")?);
    paths.map(|path| Ok((path.clone(), fs::read_to_string(root().join(path))?))).collect()
}

/// A fenced block of code.
struct Snippet {
    /// `FILE:LINE` of its first line.
    place: String,
    language: String,
    /// The text, after its `{{#include}}` was replaced by the file.
    text: String,
    /// The file that the snippet includes, relative to the root.
    included: Option<PathBuf>,
}

/// Separates the fenced blocks of a document from its other lines. Returns the latter with their numbers.
fn split<'a>(wrong: &mut Wrong, file: &str, document: &'a str) -> (Vec<Snippet>, Vec<(usize, &'a str)>) {
    let (mut snippets, mut prose) = (Vec::new(), Vec::new());
    let mut open: Option<Snippet> = None;
    for (number, line) in (1..).zip(document.lines()) {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => snippets.extend(open.take().map(|snippet| include(wrong, file, snippet))),
            (Some(language), None) => {
                let language = language.split(',').next().unwrap_or_default().to_owned();
                let place = format!("{file}:{}", number + 1);
                open = Some(Snippet { place, language, text: String::new(), included: None });
            }
            (None, Some(snippet)) => snippet.text.extend([line, "\n"]),
            (None, None) => prose.push((number, line)),
        }
    }
    if let Some(open) = open {
        wrong.push(format!("{}: the block is not closed", open.place));
    }
    (snippets, prose)
}

fn include(wrong: &mut Wrong, file: &str, snippet: Snippet) -> Snippet {
    let Some(path) = snippet.text.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) else {
        return snippet;
    };
    let path = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
    match fs::read_to_string(root().join(&path)) {
        Ok(text) => Snippet { text, included: Some(path), ..snippet },
        Err(error) => {
            wrong.push(format!("{}: cannot include {}: {error}", snippet.place, path.display()));
            snippet
        }
    }
}

#[tokio::test]
async fn snippets_commands_and_links_are_right() -> Result {
    let mut wrong = Wrong::default();
    let shown = |extensions: &[&str]| -> Result<Vec<String>> {
        let mut texts = Vec::new();
        for (folder, extension) in SHOWN.iter().flat_map(|folder| extensions.iter().map(move |it| (folder, it))) {
            for file in files(folder, extension)? {
                texts.push(fs::read_to_string(root().join(file))?);
            }
        }
        Ok(texts)
    };
    let (rust, scripts) = (shown(&[".rs"])?, shown(&[".js", ".mjs", ".ts"])?);
    let (python, c) = (shown(&[".py"])?, shown(&[".c"])?);
    // Each command with the first place that has it.
    let mut commands = BTreeMap::new();
    for (file, document) in documents()? {
        let (snippets, prose) = split(&mut wrong, &file, &document);
        for snippet in &snippets {
            let place = &snippet.place;
            if let Err(problem) = match snippet.language.as_str() {
                "toml" => is_configuration(&snippet.text),
                "sh" if snippet.included.is_some() => Ok(()), // `tests/shop/curl.rs` runs the commands
                "sh" => shell(&snippet.text, place, &mut commands),
                "rust" => is_shown(&snippet.text, &rust),
                "js" | "ts" => is_shown(&snippet.text, &scripts),
                "python" => is_shown(&snippet.text, &python),
                "c" => is_shown(&snippet.text, &c),
                "wit" if snippet.included.is_none() => Err("a snippet of the contract includes its file".to_owned()),
                "json" => serde_json::from_str::<serde_json::Value>(&snippet.text).map(drop).map_err(|e| e.to_string()),
                "wit" | "text" => Ok(()),
                other => Err(format!("{other:?} is no language that this test can check")),
            } {
                wrong.push(format!("{place}: {problem}"));
            }
        }
        for (number, line) in prose {
            let place = format!("{file}:{number}");
            let code = line.split('`').skip(1).step_by(2);
            for command in code.filter(|code| is_command(code)) {
                commands.entry(command.to_owned()).or_insert(place.clone());
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if let Err(problem) = leads_somewhere(&file, target) {
                    wrong.push(format!("{place}: {problem}"));
                }
            }
        }
    }
    for (command, place) in commands {
        if let Err(problem) = exists(&command).await? {
            wrong.push(format!("{place}: `{command}`: {problem}"));
        }
    }
    Ok(())
}

/// Returns whether this text is a command line of `carya`, such as `carya new NAME`.
fn is_command(text: &str) -> bool {
    text.strip_prefix("carya ").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Reads a configuration, with a value for each environment variable and each secret, and with the components that its
/// routes and hooks name.
fn is_configuration(text: &str) -> Checked {
    let secrets = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut text = text.replace("/run/secrets", &secrets.path().display().to_string());
    for secret in ["deploy", "registry"] {
        fs::write(secrets.path().join(secret), "a-secret-of-the-documentation").map_err(|error| error.to_string())?;
    }
    let variables = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    let environment = variables.map(|name| (name.to_owned(), "secret".to_owned())).collect();
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let has = |name: &str| table.get("component").is_some_and(|components| components.get(name).is_some());
    let users = ["route", "hook"].into_iter().filter_map(|section| table.get(section)?.as_array()).flatten();
    let named: BTreeSet<_> = users.filter_map(|user| user.get("component")?.as_str()).collect();
    for name in named.into_iter().filter(|name| !has(name)) {
        text += &format!("\n[component.{name}]\npath = \"{name}.wasm\"\n");
    }
    parse(&text, Path::new("carya.toml"), &environment).map(drop).map_err(|problems| problems.to_string())
}

/// Checks the commands of a snippet. Collects those of `carya` itself.
fn shell(text: &str, place: &str, commands: &mut BTreeMap<String, String>) -> Checked {
    let makefile = fs::read_to_string(root().join("Makefile")).map_err(|error| error.to_string())?;
    for line in text.lines() {
        let line = line.split(" # ").next().unwrap_or_default();
        for command in line.split("&&").map(str::trim).filter(|command| !command.is_empty()) {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words[..] {
                ["make", ref arguments @ ..] => {
                    for argument in arguments.iter().filter(|word| !word.ends_with('"') || word.contains('=')) {
                        let known = match argument.split_once('=') {
                            Some((variable, _)) => makefile.contains(&format!("$({variable})")),
                            None => makefile.lines().any(|line| line.starts_with(&format!("{argument}:"))),
                        };
                        known.then_some(()).ok_or_else(|| format!("the Makefile has no {argument}"))?;
                    }
                }
                ["cargo", "install", "--path", path] if root().join(path).join("Cargo.toml").exists() => {}
                ["cargo", "test", "--locked", "-p", "carya", ..] | ["curl" | "cd" | "export", ..] => {}
                ["RUSTC_BOOTSTRAP=1", ..] => {} // an option of the test runner
                ["carya", ..] => {
                    commands.entry(command.to_owned()).or_insert(place.to_owned());
                }
                _ => return Err(format!("`{command}` is no command that this test can check")),
            }
        }
    }
    Ok(())
}

/// Looks for the lines of each paragraph of a snippet, one after the other and without comments, in the code that other
/// tests run.
fn is_shown(text: &str, shown: &[String]) -> Checked {
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with("# ");
    let lines = |text: &str| text.lines().map(str::trim).filter(is_code).collect::<Vec<_>>().join("\n");
    let shown: Vec<_> = shown.iter().map(|code| lines(code)).collect();
    let found = text.split("\n\n").all(|wanted| shown.iter().any(|code| code.contains(&lines(wanted))));
    found.then_some(()).ok_or_else(|| format!("this code is in no file below {SHOWN:?}"))
}

/// Checks that a link leads to a file, and to one of its headings.
fn leads_somewhere(file: &str, target: &str) -> Checked {
    if target.starts_with("http") {
        return Ok(());
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let path = if path.is_empty() { file.into() } else { folder.join(path) };
    let whole = root().join(&path);
    if heading.is_empty() {
        return whole.exists().then_some(()).ok_or_else(|| format!("{target} is not there"));
    }
    let text = fs::read_to_string(whole).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_it = |line: &str| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading;
    text.lines().any(is_it).then_some(()).ok_or_else(|| format!("{} has no heading #{heading}", path.display()))
}

/// Returns the anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let keep = |letter: char| letter.is_alphanumeric() || "-_ ".contains(letter);
    heading.trim().to_lowercase().chars().filter(|letter| keep(*letter)).collect::<String>().replace(' ', "-")
}

/// Lets the program parse a command line. `--help` at its end prevents that the command runs; a missing value does too.
async fn exists(command: &str) -> Result<Checked> {
    // The shell handles redirections and pipes; the words after `--` are another command.
    let words = command.split_whitespace().skip(1).take_while(|word| !matches!(*word, ">" | "|" | "--"));
    let ran = carya().args(words).arg("--help").output().await?;
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    Ok(if ran.status.success() || error.contains("a value is required for") { Ok(()) } else { Err(error) })
}

/// The reference of the command line lists exactly the options of each command.
#[tokio::test]
async fn the_reference_lists_every_option() -> Result {
    let mut wrong = Wrong::default();
    let reference = fs::read_to_string(root().join("docs/src/reference/cli.md"))?;
    let (common, commands) = reference.split_once("\n## ").ok_or("no commands")?;
    let options = |text: &str| -> BTreeSet<String> {
        let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
        text.split("--").skip(1).map(word).filter(|word| word.len() > 1).collect()
    };
    let common = options(common);
    let help = carya().arg("--help").output().await?;
    let help = String::from_utf8(help.stdout)?;
    let nested = |help: &str| -> BTreeSet<String> {
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let first_word = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        // Further lines of a description are indented more.
        let mut listed: BTreeSet<_> = listed.filter_map(|line| line.strip_prefix("  ")).map(first_word).collect();
        listed.remove("");
        listed.remove("help");
        listed
    };
    let mut listed = nested(&help);
    for section in commands.split("\n## ") {
        let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
        let command = heading.strip_prefix("carya ").ok_or_else(|| format!("`{heading}` is no command"))?;
        if !listed.remove(command) {
            wrong.push(format!("there is no `carya {command}`"));
            continue;
        }
        let ran = carya().args([command, "--help"]).output().await?;
        let mut help = String::from_utf8(ran.stdout)?;
        // The options of a command with commands of its own are in their help.
        for nested in nested(&help) {
            let ran = carya().args([command, &nested, "--help"]).output().await?;
            help += &String::from_utf8(ran.stdout)?;
        }
        let (known, shown) = (options(&help), options(text));
        for option in shown.iter().filter(|option| !known.contains(*option)) {
            wrong.push(format!("`carya {command}` has no --{option}"));
        }
        for option in known.iter().filter(|option| !shown.contains(*option) && !common.contains(*option)) {
            wrong.push(format!("--{option} of `carya {command}` is not in the reference"));
        }
    }
    for command in listed {
        wrong.push(format!("`carya {command}` is not in the reference"));
    }
    Ok(())
}
