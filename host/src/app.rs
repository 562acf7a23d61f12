//! Makes a generation from a configuration: loads the components, matches them to routes, compiles the templates, and
//! opens and migrates the databases. Reports all problems of a step together.

mod format;
mod load;
mod sources;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, bail};
use http::Method;

pub use self::{
    format::format_error,
    sources::{Application, Sources},
};
use crate::{
    component::{Component, Engine, Export, Guests, MAX_MEMORY, RequestState},
    config::{self, Access, Config, Dialect, MAIN, StatusSet},
    content::Digest,
    database::{Database, TransactionOptions},
    generation::{Chain, Files, Generation, Handler},
    harden, lifecycle,
    message::{self, Request},
    migrate,
    oci::Images,
    outbox,
    render::Templates,
    routes::Routes,
    telemetry::{self, metrics::Counted},
    transaction::{self, Bound, Facts, Origin, Outcome, Unbound, plan},
};

/// Methods of a route without `methods`, as far as its controller can serve them. GET includes HEAD.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

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
    let (components, problems) = load::load_all(&engine, &sources, previous.as_deref()).await;
    let Sources { config, images, .. } = sources;
    let joining = engine.clone();
    joining.blocking(move || join(config, (files, images), engine, components, problems)).await.context(ended)?
}

/// Matches components to routes and hooks, and compiles the templates. Adds the problems that it finds to `problems`,
/// which contains those of the components.
fn join(
    config: Config,
    (files, images): (Files, Images),
    engine: Engine,
    components: Vec<Arc<Component>>,
    mut problems: Vec<String>,
) -> anyhow::Result<Generation> {
    let deployed = config.deployed.as_ref().map(|deployed| deployed.id.clone());
    let id = deployed.unwrap_or_else(|| files.id(&config, &images));
    let find = |name: &str| components.iter().find(|component| **component.name() == *name);

    let hooks_of = |hooks: &[config::Hook], place: &str, global: bool, problems: &mut Vec<String>| {
        let mut found = Vec::new();
        for hook in hooks {
            let Some(component) = find(&hook.component) else { continue };
            problems.extend(check_hook(component, global).map(|problem| format!("{place}: {problem}")));
            found.push((hook.priority, component.clone()));
        }
        found
    };
    let global = hooks_of(&config.hooks, "[[hook]]", true, &mut problems);
    let mut routes = Routes::default();
    let mut handlers = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let place = format!("{}:{}: route[{index}] {:?}", config.file.display(), route.line, route.path);
        let hooks = hooks_of(&route.hooks, &place, false, &mut problems);
        let Some(controller) = find(&route.component) else { continue };
        match_exports(route, controller, &place, &mut problems);
        if let Err(error) = routes.add(&route.path, &methods_of(route, controller), handlers.len()) {
            problems.push(format!("{place}: {error}"));
        }
        handlers.push(Handler {
            controller: controller.clone(),
            access: route.transaction,
            commit_on: route.commit_on.clone().unwrap_or_else(|| config.transaction.commit_on.clone()),
            rollback_on_redirect: route.rollback_on_redirect.unwrap_or(config.transaction.rollback_on_redirect),
            database: route.database.clone(),
            isolation: route.isolation.or(config.transaction.isolation),
            primary: route.primary,
            retries: route.retries.unwrap_or(config.transaction.retries),
            chain: Chain::new(&hooks, &global, config.transaction.priority),
        });
    }
    if let Some(model) = config.model.component.as_deref().and_then(find)
        && !model.exports(Export::Model)
    {
        problems.push(format!("[model]: component `{}` does not export {}", model.name(), Export::Model.interface()));
    }
    let templates = match config.templates.as_deref().map(Templates::load).transpose() {
        Ok(templates) => templates.unwrap_or_default(),
        Err(error) => {
            problems.push(error.to_string());
            Templates::default()
        }
    };
    for (index, config::StaticFiles { path, folder, line }) in config.static_files.iter().enumerate() {
        if !folder.is_dir() {
            let (file, folder) = (config.file.display(), folder.display());
            problems.push(format!("{file}:{line}: static[{index}] {path:?}: there is no folder {folder}"));
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(Generation {
        id,
        files,
        images,
        global: Chain::new(&[], &global, config.transaction.priority),
        engine,
        routes,
        handlers,
        templates,
        database: None,
        databases: BTreeMap::new(),
        components,
        config,
        counted: Counted::default(),
    })
}

/// Opens the databases, creates missing tables for actions, runs pending migrations, and initializes the model. Uses the
/// databases of `previous` again if their settings have not changed. The `[reload]` section of `previous` can forbid
/// migrations and the initialization. Adds the names of the migrations that ran to `applied`, because a failure of a
/// later step does not undo them.
pub async fn prepare(
    mut generation: Generation,
    previous: Option<&Generation>,
    applied: &mut Vec<String>,
) -> anyhow::Result<Generation> {
    let policy = previous.map(|before| &before.config.reload);
    // Before any migration, so that a database that cannot be used leaves no other database migrated.
    let mut opened = Vec::new();
    for (name, settings) in generation.config.all_databases() {
        let same = |before: &&Generation| before.config.all_databases().any(|before| before == (name, settings));
        let open = previous.filter(same).and_then(|before| before.all_databases().find(|(other, _)| *other == name));
        let database = match open {
            Some((_, database)) => database.clone(),
            None => self::open(name, settings).await?,
        };
        if generation.runs_actions() {
            let cannot = || format!("{}: the table for actions could not be created", config::section_of(name));
            outbox::create(&database).await.with_context(cannot)?;
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
    Ok(generation)
}

async fn open(name: &str, settings: &config::DatabaseConfig) -> anyhow::Result<Arc<Database>> {
    let cannot = || format!("{} cannot be opened", config::section_of(name));
    let database = Database::open(name, settings).await.with_context(cannot)?;
    if settings.dialect != Dialect::Sqlite {
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

/// Returns the reason why a component cannot be a hook of a route or, if `global` is true, a global hook. Returns
/// `None` if it can.
fn check_hook(component: &Component, global: bool) -> Option<String> {
    let all: Vec<_> = Export::ALL.into_iter().filter(|export| export.is_hook()).collect();
    let phases: Vec<_> = all.iter().copied().filter(|phase| component.exports(*phase)).collect();
    let names = |phases: &[Export]| phases.iter().map(|phase| phase.name()).collect::<Vec<_>>().join(", ");
    let name = component.name();
    if phases.is_empty() {
        return Some(format!("component `{name}` exports no hook phase ({} of carya:host)", names(&all)));
    }
    (!global && !phases.iter().any(|phase| phase.is_route_hook())).then(|| {
        let names = names(&phases);
        format!("component `{name}` exports only {names}, which runs before routing; make it a global [[hook]]")
    })
}

/// Returns the methods that a route serves: its `methods`, or all methods that its controller can serve if it has none.
pub fn methods_of(route: &config::Route, controller: &Component) -> Vec<Method> {
    if route.methods.is_empty() {
        let can_serve =
            |method: &Method| controller.exports(Export::controller(plan::by_route(method, route.transaction, None)));
        return METHODS.into_iter().filter(can_serve).collect();
    }
    route.methods.iter().filter_map(|method| method.parse().ok()).collect()
}

/// Checks that a controller has the exports for all methods of its route.
fn match_exports(route: &config::Route, controller: &Component, place: &str, problems: &mut Vec<String>) {
    let methods = methods_of(route, controller);
    if methods.is_empty() {
        let wanted = match route.transaction {
            Some(access) => Export::controller(access).interface(),
            None => {
                format!("{} or {}", Export::ReadController.interface(), Export::WriteController.interface())
            }
        };
        problems.push(format!("{place}: component `{}` does not export {wanted}", controller.name()));
    }
    for method in &methods {
        let access = plan::by_route(method, route.transaction, None);
        let export = Export::controller(access);
        if !controller.exports(export) {
            problems.push(format!(
                "{place}: {method} is {}, for which component `{}` would have to export {}",
                access.as_str(),
                controller.name(),
                export.interface()
            ));
        }
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
        let request = Request {
            method: method.parse()?,
            uri: path.parse()?,
            body: body.clone().into(),
            id: message::new_id().into(),
            ..Request::default()
        };
        let ended = lifecycle::rehearse(generation, Arc::new(request)).await;
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

/// Calls the model's `init` in a transaction of its own.
async fn initialize(generation: &Generation, model: &Component) -> anyhow::Result<()> {
    let started = Instant::now();
    let request = Arc::new(Request { id: format!("init-{}", model.name()).into(), ..Request::default() });
    let mut state = RequestState::new(request);
    state.bound = Unbound::default().start(
        generation.database.clone(),
        TransactionOptions::new(Access::ReadWrite),
        &mut state.trace,
    );
    let result = Guests::default().init(&mut state, model).await;
    let Bound::Started(bound) = state.bound else { bail!("the model was not bound") };
    let verdict = transaction::decide(&Facts {
        origin: if result.is_ok() { Origin::Controller { status: 200 } } else { Origin::Failure },
        commit_on: &StatusSet::new(vec![200..=200]),
        rollback_on_redirect: false,
        doomed: bound.session().doom().is_some(),
        marked: bound.session().is_marked(),
        interrupted: false,
    });
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
