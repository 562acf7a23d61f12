//! Makes a generation from a configuration: loads the components, matches them to routes, compiles the templates, and
//! opens and migrates the databases. Reports all problems of a step together.

mod format;
mod join;
mod load;
mod sources;
mod warm;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, bail};
use http::Method;

pub use self::{
    format::format_error,
    join::{methods_of, warnings},
    sources::{Application, Sources},
};
use crate::{
    component::{Component, Engine, Guests, MAX_MEMORY, RequestState},
    config::{self, Access, Config, Dialect, MAIN, Place},
    content::Digest,
    database::{Database, TransactionOptions},
    generation::{Files, Generation},
    harden,
    lifecycle::{self, Ended},
    message::{self, Request},
    migrate, outbox, routes, telemetry,
    transaction::{self, Bound, Outcome, Unbound},
};

/// Makes the engine of a process that serves, with the limits of its first configuration.
pub fn engine(config: &Config) -> anyhow::Result<Engine> {
    let requests = u32::try_from(config.server.max_concurrent_requests).unwrap_or(u32::MAX);
    Ok(Engine::new(requests, memory(config), &config.server)?)
}

/// Makes an engine for trials of the components of a configuration and of `other`. A host must not serve requests with
/// it.
pub fn engine_for_trials(config: &Config, other: Option<&Config>) -> anyhow::Result<Engine> {
    let memory = other.map_or(0, memory).max(memory(config));
    Ok(Engine::for_trials(memory, &config.server)?)
}

/// Returns the largest memory of a component, in bytes.
fn memory(config: &Config) -> usize {
    config.components.values().map(|component| component.memory).max().unwrap_or(MAX_MEMORY)
}

/// Makes a generation without its databases: loads the components, matches them to routes, and compiles the templates.
/// Uses the components of `previous` again if they have not changed.
pub async fn assemble(
    sources: Sources,
    engine: Engine,
    previous: Option<Arc<Generation>>,
) -> anyhow::Result<Generation> {
    let ended = "assembling the generation was ended";
    // Reading and hashing files would block a thread that serves requests.
    let reading = engine.blocking(move || (Files::of(&sources.config), sources));
    let (files, sources) = reading.await.context(ended)?;
    let (components, mut problems) = load::load_all(&engine, &sources, previous.as_deref()).await;
    for (name, database) in sources.config.all_databases() {
        if let Some(folder) = &database.migrations
            && let Err(error) = migrate::check_folder(folder).await
        {
            problems.push(sources.config.place(&config::migrations_key(name)).problem(error.to_string()));
        }
    }
    let Sources { config, images, .. } = sources;
    let joining = engine.clone();
    joining.blocking(move || join::join(config, (files, images), engine, components, problems)).await.context(ended)?
}

/// Opens the databases, creates missing tables for actions, runs pending migrations, initializes the model, and warms the
/// components with `warm`. Uses the
/// databases of `previous` again if their settings have not changed. The `[reload]` section of `previous` can forbid
/// migrations and the initialization. Adds the names of the migrations that ran to `applied`, because a failure of a
/// later step does not undo them.
pub async fn prepare(
    mut generation: Generation,
    previous: Option<&Generation>,
    applied: &mut Vec<String>,
) -> anyhow::Result<Generation> {
    warnings(&generation).iter().for_each(|warning| tracing::warn!("{warning}"));
    let policy = previous.map(|before| &before.config.reload);
    // Before any migration, so that a database that cannot be used leaves no other database migrated.
    let mut opened = Vec::new();
    for (name, settings) in generation.config.all_databases() {
        let same = |before: &&Generation| before.config.all_databases().any(|before| before == (name, settings));
        let open = previous.filter(same).and_then(|before| before.all_databases().find(|(other, _)| *other == name));
        let database = match open {
            Some((_, database)) => database.clone(),
            None => self::open(name, settings, generation.config.place(&config::url_key(name))).await?,
        };
        if generation.runs_actions() {
            let cannot = || format!("{}: the table for actions could not be created", config::section_of(name));
            outbox::create(&database).await.with_context(cannot)?;
            outbox::install(&database).await;
            if open.is_none() && settings.dialect != Dialect::Sqlite && settings.admin_url.is_none() {
                let place = config::section_of(name);
                tracing::warn!(
                    "{place}: the login for guests' statements also writes to the outbox; set admin_url, so that guests \
                     need no rights on it"
                );
            }
        }
        opened.push((database, previous.filter(|_| open.is_some())));
    }
    for ((name, settings), (database, before)) in generation.config.all_databases().zip(opened) {
        let migrated = match &settings.migrations {
            Some(folder) if policy.is_none_or(|reload| reload.migrate) => migrate(name, folder, &database).await,
            Some(folder) => refuse_pending(name, settings, folder).await.map(|()| Vec::new()),
            None => Ok(Vec::new()),
        };
        if let Some(before) = before {
            // Migrations may have run before the one that failed, and another host may have run the new migrations.
            let ran = migrated.as_ref().map_or(true, |names| !names.is_empty());
            if ran || !same_migrations(name, before, &generation) {
                database.renew_connections();
            }
        }
        applied.extend(migrated?);
        match name {
            MAIN => generation.database = Some(database),
            _ => drop(generation.databases.insert(name.to_owned(), database)),
        }
    }
    let model = generation.config.model.component.as_deref().filter(|_| policy.is_none_or(|reload| reload.init));
    if let Some(model) = model.and_then(|name| generation.component(name)) {
        initialize(&generation, &model.clone()).await?;
    }
    // Boxed, as in `warm`: the stack of a thread that reloads is small, and the futures of a development build are large.
    Box::pin(warm::warm(generation)).await
}

/// Opens a database. `place` is the place of its URL.
async fn open(name: &str, settings: &config::DatabaseConfig, place: Place) -> anyhow::Result<Arc<Database>> {
    let database = Database::open(name, settings).await.with_context(|| place.problem("cannot be opened"))?;
    if settings.dialect != Dialect::Sqlite && settings.check_rights {
        tokio::spawn(log_excess_rights(name.to_owned(), settings.clone()));
    }
    Ok(Arc::new(database))
}

/// Returns whether two generations have the same migrations of a database, regardless of their folders.
fn same_migrations(name: &str, one: &Generation, other: &Generation) -> bool {
    fn files<'a>(name: &str, generation: &'a Generation) -> Option<BTreeMap<&'a Path, Digest>> {
        let (_, settings) = generation.config.all_databases().find(|(other, _)| *other == name)?;
        Some(generation.files.within(settings.migrations.as_ref()?))
    }
    files(name, one) == files(name, other)
}

async fn migrate(name: &str, folder: &Path, database: &Database) -> anyhow::Result<Vec<String>> {
    let report = migrate::apply(database, folder).await?;
    for migration in &report.applied {
        tracing::info!(database = name, migration, "applied");
    }
    Ok(report.applied)
}

async fn refuse_pending(name: &str, settings: &config::DatabaseConfig, folder: &Path) -> anyhow::Result<()> {
    let pending = migrate::pending(settings, folder).await?;
    if !pending.is_empty() {
        let (section, pending) = (config::section_of(name), pending.join(", "));
        bail!(
            "{section}: migrations are pending, and `[reload] migrate = false` forbids running them: {pending}; \
             run `carya migrate`, then reload"
        );
    }
    Ok(())
}

/// Logs the privileges of guests' logins that guests do not need. The start does not wait for this check.
async fn log_excess_rights(database: String, settings: config::DatabaseConfig) {
    match harden::find_excess_rights(&settings).await {
        Ok(findings) => findings.iter().for_each(|finding| tracing::warn!(database, "{finding}")),
        Err(error) => tracing::warn!(database, %error, "the rights of the guests' logins could not be checked"),
    }
}

/// Error for unexpected responses to requests of `[[smoke]]`.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines.join("\n"))]
pub struct UnexpectedResponses {
    lines: Vec<String>,
    /// Whether a later attempt may succeed: all statuses are 503 or 504.
    pub may_pass: bool,
}

/// Runs all requests of `[[smoke]]`.
///
/// # Errors
///
/// Returns [`UnexpectedResponses`] if a status differs from the configured ones.
pub async fn rehearse(generation: &Generation) -> anyhow::Result<()> {
    let mut wrong = UnexpectedResponses { lines: Vec::new(), may_pass: true };
    for (index, smoke) in generation.config.smoke.iter().enumerate() {
        let config::Smoke { method, path, body, status, line } = smoke;
        let ended = try_out(generation, method.parse()?, path, body.clone()).await?;
        if !status.contains(ended.reply.status.as_u16()) {
            let why = ended.failure.map_or_else(String::new, |failure| format!(": {}", failure.detail));
            let file = generation.config.file.display();
            let found = ended.reply.status;
            wrong.lines.push(format!("{file}:{line}: smoke[{index}]: {method} {path} answers {found}{why}"));
            wrong.may_pass &= matches!(found.as_u16(), 503 | 504);
        }
    }
    if wrong.lines.is_empty() { Ok(()) } else { Err(wrong.into()) }
}

/// Runs a request that the host makes. Its writes are rolled back.
async fn try_out(generation: &Generation, method: Method, path: &str, body: String) -> anyhow::Result<Ended> {
    let request = Request {
        method,
        uri: routes::normalized(path).parse()?,
        body: body.into(),
        id: message::new_id().into(),
        ..Request::default()
    };
    Ok(lifecycle::rehearse(generation, Arc::new(request)).await)
}

/// Calls the model's `init` in a transaction of its own.
async fn initialize(generation: &Generation, model: &Component) -> anyhow::Result<()> {
    let started = Instant::now();
    let request = Arc::new(Request { id: format!("init-{}", model.name()).into(), ..Request::default() });
    let mut state = RequestState::without_calls(request, "`init` of a model");
    state.bound = Unbound::default().start(
        generation.database.clone(),
        TransactionOptions::new(Access::ReadWrite),
        &mut state.trace,
    );
    let result = Guests::default().init(&mut state, model).await;
    let Bound::Started(bound) = state.bound else { bail!("the model was not bound") };
    let verdict = transaction::decide_call(result.is_ok(), bound.session());
    let doom = bound.session().doom().cloned();
    let settled = bound.settle(verdict, &mut state.trace).await;
    let failure = settled.failure().cloned().or(doom);
    let outcome = settled.clear(&mut state.trace).outcome();
    let uninitialized = "the model could not be initialized";
    match failure {
        // The error of the database stays in the chain: a later attempt may succeed if it is retryable.
        Some(error) => {
            let what = result.map_or_else(|guest| guest.to_string(), |()| error.report());
            Err(error).context(what).context(uninitialized)
        }
        None if result.is_err() => result.context(uninitialized),
        None if outcome != Outcome::Committed => bail!("the model requested a rollback of its own initialization"),
        None => {
            tracing::info!(component = &**model.name(), ms = telemetry::millis(started.elapsed()), "model initialized");
            Ok(())
        }
    }
}
