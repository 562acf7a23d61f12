//! Reads configuration files: that of a host with its application, and those of a host and of an application that is
//! deployed to it. Later modules find out whether the files that the configuration names exist.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component as Step, Path, PathBuf},
};

use super::{
    component::{self, COMPONENT},
    context::Context,
    database::{self, DATABASE},
    deploy::{DEPLOY, Deployed},
    env::{self, Environment, environment},
    file::{Config, DEBUG, MODEL, RELOAD, TEMPLATES, file as whole, model_migrations, templates_folder},
    headers::{CORS, HEADERS},
    log::LOG,
    outbound::OUTBOUND,
    places::Places,
    problem::{Origin, Place, Problems},
    rate_limit::RATE_LIMIT,
    record::Record,
    registry::REGISTRY,
    route::{HOOK, ROUTE, SMOKE, STATIC, static_folder},
    section::{Section, TableKey},
    server::SERVER,
    test::TEST,
    transaction::TRANSACTION,
    tree,
};

/// Sections that only the file of a host has; that of an application is skipped.
const HOST: [TableKey; 7] = [SERVER, LOG, DEPLOY, RELOAD, REGISTRY, OUTBOUND, TEST];

/// Sections of an application.
const APPLICATION: [TableKey; 11] =
    [COMPONENT, CORS, HEADERS, HOOK, MODEL, RATE_LIMIT, ROUTE, SMOKE, STATIC, TEMPLATES, TRANSACTION];

/// Returns whether a section or a key outside of the sections is the host's: all variables for `[database]` are too.
fn is_of_host(key: &str) -> bool {
    key == DEBUG || HOST.iter().chain([&DATABASE]).any(|table| table.name == key)
}

/// Returns the configuration of an empty file, with the environment of this process.
pub fn defaults() -> Result<Config, Problems> {
    parse("", Path::new("carya.toml"), &environment())
}

/// Reads a file, with the environment of this process.
///
/// # Errors
///
/// All [`Problems`] of the file and of the environment.
pub fn load(file: &Path) -> Result<Config, Problems> {
    load_with_records(file).map(without_records)
}

/// The same, with the records of all keys.
pub(super) fn load_with_records(file: &Path) -> Result<(Config, Vec<Record>), Problems> {
    let env = environment();
    read_file(Context::new(file, &env), &env, |root| whole(root, None))
}

fn without_records<T>((value, _): (T, Vec<Record>)) -> T {
    value
}

/// Reads the text of a file, with an environment. `file` is the name in messages and the base of relative paths; it
/// need not exist.
///
/// # Errors
///
/// All [`Problems`] of the text and of the environment.
pub fn parse(text: &str, file: &Path, env: &BTreeMap<String, String>) -> Result<Config, Problems> {
    read_with(text, Context::new(file, env), env, |root| whole(root, None)).map(without_records)
}

/// Parses a text, overrides its values by environment variables, and reads the result.
fn read_with<T>(
    text: &str,
    context: Context<'_>,
    variables: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<(T, Vec<Record>), Problems> {
    let mut table = match tree::parse(text) {
        Ok(table) => table,
        Err((origin, message)) => {
            context.report(origin, "", message);
            return context.finish(None);
        }
    };
    for (origin, key, message) in env::apply(&mut table, variables) {
        context.report(origin, key, message);
    }
    let found = Section::root(&context, table, read);
    context.finish(Some(found))
}

/// Reads the sections of the host from its own file, with the environment of this process: `[server]`, `[log]`, the
/// databases, `[deploy]`, `[reload]`, `[outbound]` and the registries. Skips the application in this file.
///
/// # Errors
///
/// All [`Problems`] in these sections.
pub fn load_host(file: &Path) -> Result<Config, Problems> {
    let env = environment();
    let context = Context::new(file, &env);
    read_file(context, &env::select(&env, is_of_host), |root| {
        root.ignore(APPLICATION);
        whole(root, None)
    })
    .map(without_records)
}

/// Reads the file of a deployed application. `debug`, `[server]`, `[log]`, `[deploy]`, `[reload]`, `[outbound]`, the
/// registries, and the databases that the host configures come from the host. Relative paths of SQLite files and secrets
/// are based on the host's folder.
///
/// # Errors
///
/// All [`Problems`] of the file, also a path that leads out of its folder.
pub fn load_deployed(file: &Path, host: &Config, id: &str) -> Result<Config, Problems> {
    application(file)?;
    let env = environment();
    let home = host.file.parent().unwrap_or(Path::new(""));
    let context = Context::new(file, &env).at(home);
    read_file(context, &env::select(&env, |key| !is_of_host(key)), |root| {
        root.ignore(HOST);
        let deployed = Some(Deployed { id: id.to_owned(), host: host.file.clone() });
        let own = whole(root, Some(host));
        Config {
            // Clients of the host see these details.
            debug: host.debug,
            log_filter: host.log_filter.clone(),
            server: host.server.clone(),
            log: host.log,
            deploy: host.deploy.clone(),
            deployed,
            // A generation must not lift the rules that apply to it.
            reload: host.reload.clone(),
            registries: host.registries.clone(),
            places: own.places.with_host(&host.places, &HOST.map(|section| section.name)),
            ..own
        }
    })
    .map(without_records)
}

/// Returns `CARYA_DEPLOY_TOKEN` from the environment of this process, unless it is empty.
pub fn deploy_token() -> Option<String> {
    environment().remove("CARYA_DEPLOY_TOKEN").filter(|token| !token.is_empty())
}

/// Returns the files and folders that belong to an application, each with the key that names it. Secrets and databases do
/// not belong to it.
///
/// # Errors
///
/// [`Problems`] if the file cannot be parsed, or names a path outside its folder.
pub fn application(file: &Path) -> Result<Vec<(Place, PathBuf)>, Problems> {
    let env = environment();
    read_file(Context::new(file, &env), &Environment::new(), |root| {
        let found = named(root);
        root.ignore_rest();
        let context = root.context();
        let places = context.all_records(|records| Places::of(context.file, records));
        for (key, path) in &found {
            let inside = path.strip_prefix(context.folder);
            if !inside.is_ok_and(|path| path.components().all(|step| matches!(step, Step::Normal(_) | Step::CurDir))) {
                let message = format!(
                    "{} is outside of {}; all files of a deployed application must be in its folder",
                    path.display(),
                    if context.folder == Path::new("") { Path::new(".") } else { context.folder }.display(),
                );
                context.report(places.find(context.file, key).origin, key, message);
            }
        }
        found.into_iter().map(|(key, path)| (places.find(context.file, &key), path)).collect()
    })
    .map(without_records)
}

/// Returns the files and folders of an application, each with the key that names it.
fn named(root: &mut Section<'_>) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (name, entry) in root.fields(COMPONENT, "NAME") {
        let folder = root.context().folder;
        let file = Section::of(entry, |section| component::file(section).alone());
        let file = file.flatten().map(|(path, image)| if image.is_some() { folder.join(path) } else { path });
        found.extend(file.map(|file| (format!("component.{name}.path"), file)));
    }
    let migrations = root.optional(MODEL, |section| model_migrations(section).alone());
    found.extend(migrations.flatten().map(|path| ("model.migrations".to_owned(), path)));
    let templates = root.optional(TEMPLATES, |section| templates_folder(section).alone());
    found.extend(templates.flatten().map(|path| ("templates.folder".to_owned(), path)));
    root.optional(DATABASE, |section| {
        for (name, entry) in section.tables("NAME") {
            let migrations = Section::of(entry, |section| database::migrations(section).alone());
            found.extend(migrations.flatten().map(|path| (format!("database.{name}.migrations"), path)));
        }
        section.ignore_rest();
    });
    let folders = root.each(STATIC, |section| static_folder(section).alone()).into_iter().enumerate();
    found.extend(folders.filter_map(|(index, path)| Some((format!("static[{index}].folder"), path?))));
    found
}

/// Reads the file of a context.
fn read_file<T>(
    context: Context<'_>,
    variables: &Environment,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<(T, Vec<Record>), Problems> {
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
