//! The format of `[deploy]`, and the configuration of a deployed application: which sections come from the host's own
//! file and which from the file of the application.

use std::{
    fs, io,
    path::{Component as Step, Path, PathBuf},
    time::Duration,
};

use super::{
    super::{
        Config, Deploy, Deployed, Dialect, Listen, Problems, Server, Shared, Tls,
        context::Context,
        env::{self, Environment},
        problem::Origin,
        quantity::{positive_duration, size},
        section::Section,
        tree::Value,
        value::{address, boolean, integer, path, text},
    },
    MIB, config, environment, read_with,
};

/// Sections of the host.
const HOST: [&str; 5] = ["server", "database", "deploy", "reload", "registry"];
/// Sections of the application.
const APPLICATION: [&str; 8] = ["component", "hook", "model", "route", "smoke", "static", "templates", "transaction"];
/// Minimum length of a token, in bytes. Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Maximum of `deploy.poll`.
const LONGEST_POLL: Duration = Duration::from_secs(10 * 60);

/// Reads `[deploy]`. `dialect` is that of the default database, if there is one.
pub(super) fn deploy(section: &mut Section<'_>, server: &Server, dialect: Option<Dialect>) -> Deploy {
    let (context, folder) = (section.context(), section.context().folder);
    let origin = section.origin();
    let report = |key: &str, message: &str| context.report(origin.clone(), format!("deploy.{key}"), message);
    let listen = section.take("listen", listen(folder));
    let token = section.entry("token");
    let has_token = token.is_some();
    let token = token.and_then(|token| token.read_secret(token_text));
    let (cert, key) = (section.take("tls_cert", path(folder)), section.take("tls_key", path(folder)));
    let in_the_clear = cert.is_none() && key.is_none();
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            report("tls_key", "is missing; a certificate is of no use without its key");
            None
        }
        (None, Some(_)) => {
            report("tls_cert", "is missing; a key is of no use without its certificate");
            None
        }
    };
    match &listen {
        Some(Listen::Tcp(_)) if !has_token => {
            report("token", r#"is missing; whoever reaches the address could deploy. Write token = "${NAME}""#);
        }
        Some(Listen::Unix(_)) if tls.is_some() => {
            report("tls_cert", "is for addresses; a Unix socket is not left by what goes through it");
        }
        _ => {}
    }
    if let Some(Listen::Tcp(address)) = &listen
        && !address.ip().is_loopback()
        && in_the_clear
    {
        let message = format!("{address} can be reached by others; set tls_cert and tls_key, or listen on 127.0.0.1");
        report("listen", &message);
    }
    Deploy {
        folder: section.take("folder", path(folder)).unwrap_or_else(|| folder.join("deployed")),
        listen,
        token,
        tls,
        max_upload: section.take("max_upload", size).unwrap_or(256 * MIB),
        keep: section.take("keep", integer(1..=1000)).unwrap_or(10),
        shared: shared(section, server, dialect),
    }
}

fn shared(section: &mut Section<'_>, server: &Server, dialect: Option<Dialect>) -> Option<Shared> {
    let entry = section.entry("shared");
    let (poll, host) = (section.take("poll", poll), section.take("host", host));
    let entry = entry.filter(|entry| entry.read(boolean) == Some(true))?;
    if !matches!(dialect, Some(Dialect::Postgres | Dialect::MySql)) {
        entry.report(
            "a fleet needs a server to share by; set database.url to postgres:// or mysql://, or leave it out where \
             there is one host only",
        );
    }
    let host = host.unwrap_or_else(|| {
        let machine = hostname::get().unwrap_or_default().to_string_lossy().into_owned();
        if machine.is_empty() || server.listen.port() == 0 {
            entry.report("needs deploy.host here: nothing else tells this host from others for good");
        }
        // The listen address tells apart the hosts on one machine.
        format!("{machine}/{}", server.listen)
    });
    Some(Shared { host, poll: poll.unwrap_or(Duration::from_secs(5)) })
}

fn poll(value: &Value) -> Result<Duration, String> {
    let poll = positive_duration(value)?;
    if poll <= LONGEST_POLL { Ok(poll) } else { Err("is longer than ten minutes".to_owned()) }
}

fn host(value: &Value) -> Result<String, String> {
    let host = text(value)?;
    let right = (1..=200).contains(&host.len()) && !host.chars().any(char::is_control);
    if right { Ok(host) } else { Err("is not a name; it may have 200 bytes and no control characters".to_owned()) }
}

/// Reads `"127.0.0.1:9091"` or `"unix:/run/carya/admin.sock"`.
fn listen(folder: &Path) -> impl Fn(&Value) -> Result<Listen, String> {
    move |value| match value.as_text().and_then(|text| text.strip_prefix("unix:")) {
        Some("") => Err("names no socket; write it as \"unix:/run/carya/admin.sock\"".to_owned()),
        Some(path) => Ok(Listen::Unix(folder.join(path))),
        None => address(value).map(Listen::Tcp).map_err(|error| format!("{error} or \"unix:/run/carya/admin.sock\"")),
    }
}

fn token_text(value: &Value) -> Result<String, String> {
    let token = text(value)?;
    if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "is no good token; it needs at least {SHORTEST_TOKEN} letters, digits and signs, as `openssl rand -hex 32` makes them"
        ));
    }
    Ok(token)
}

/// Reads the sections of the host from its own file, with the environment of this process: `[server]`, the databases,
/// `[deploy]`, `[reload]` and the registries. Skips the application in this file.
///
/// # Errors
///
/// All [`Problems`] in these sections.
pub fn load_host(file: &Path) -> Result<Config, Problems> {
    let env = environment();
    let context = Context::new(file, &env);
    read(context, &env::select(&env, |section| HOST.contains(&section)), |root| {
        root.ignore(&APPLICATION);
        config(root, None)
    })
}

/// Reads the file of a deployed application. `[server]`, `[deploy]`, `[reload]`, the registries, and the databases that
/// the host configures come from the host. Relative paths of SQLite files and secrets are based on the host's folder.
///
/// # Errors
///
/// All [`Problems`] of the file, also a path that leads out of its folder.
pub fn load_deployed(file: &Path, host: &Config, id: &str) -> Result<Config, Problems> {
    application(file)?;
    let env = environment();
    let home = host.file.parent().unwrap_or(Path::new(""));
    let context = Context::new(file, &env).at(home);
    read(context, &env::select(&env, |section| !HOST.contains(&section)), |root| {
        root.ignore(&["server", "deploy", "reload", "registry"]);
        let deployed = Some(Deployed { id: id.to_owned(), host: host.file.clone() });
        Config {
            server: host.server.clone(),
            deploy: host.deploy.clone(),
            deployed,
            // A generation must not lift the rules that apply to it.
            reload: host.reload.clone(),
            registries: host.registries.clone(),
            ..config(root, Some(host))
        }
    })
}

/// Returns `CARYA_DEPLOY_TOKEN` from the environment of this process, unless it is empty.
pub fn deploy_token() -> Option<String> {
    environment().remove("CARYA_DEPLOY_TOKEN").filter(|token| !token.is_empty())
}

/// Returns the files and folders that belong to an application. Secrets and databases do not.
///
/// # Errors
///
/// [`Problems`] if the file cannot be parsed, or names a path outside its folder.
pub fn application(file: &Path) -> Result<Vec<PathBuf>, Problems> {
    let env = environment();
    read(Context::new(file, &env), &Environment::new(), |root| {
        let found = named(root);
        root.ignore_rest();
        let context = root.context();
        for (key, path) in &found {
            let inside = path.strip_prefix(context.folder);
            if !inside.is_ok_and(|path| path.components().all(|step| matches!(step, Step::Normal(_) | Step::CurDir))) {
                let message = format!(
                    "{} is not in {}; all of an application that is deployed must stand in its folder",
                    path.display(),
                    if context.folder == Path::new("") { Path::new(".") } else { context.folder }.display(),
                );
                context.report(Origin::File, key, message);
            }
        }
        found.into_iter().map(|(_, path)| path).collect()
    })
}

/// Returns the files and folders of an application, each with the key that names it.
fn named(root: &mut Section<'_>) -> Vec<(String, PathBuf)> {
    let folder = root.context().folder;
    let mut found = Vec::new();
    for (name, entry) in root.fields("component") {
        let file = entry.table(|section| {
            let file = section.take("path", path(folder));
            section.ignore_rest();
            file
        });
        found.extend(file.flatten().map(|file| (format!("component.{name}.path"), file)));
    }
    for (section, key) in [("model", "migrations"), ("templates", "folder")] {
        let named = root.optional(section, |section| {
            let named = section.take(key, path(folder));
            section.ignore_rest();
            named
        });
        found.extend(named.flatten().map(|path| (format!("{section}.{key}"), path)));
    }
    root.optional("database", |section| {
        for (name, entry) in section.tables() {
            let migrations = entry.table(super::database::migrations);
            found.extend(migrations.flatten().map(|path| (format!("database.{name}.migrations"), path)));
        }
        section.ignore_rest();
    });
    let files = root.each("static", |section| {
        let files = section.take("folder", path(folder));
        section.ignore_rest();
        files
    });
    found.extend(files.into_iter().flatten().map(|path| ("static.folder".to_owned(), path)));
    found
}

pub(super) fn read<T>(
    context: Context<'_>,
    variables: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<T, Problems> {
    match fs::read_to_string(context.file) {
        Ok(text) => read_with(&text, context, variables, read),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "; `carya new NAME` makes a project that has one",
                _ => "",
            };
            context.report(Origin::File, "", format!("cannot be read: {error}{hint}"));
            context.finish(None)
        }
    }
}
