//! Matches the components of a configuration to its routes and hooks.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::bail;
use http::Method;

use crate::{
    component::{Component, Engine, Export},
    config::{self, Access, Config, Problem, Problems},
    generation::{Chain, Files, Generation, Handler},
    oci::Images,
    rates::RateLimits,
    render::Templates,
    routes::Routes,
    telemetry::metrics::Counted,
    transaction::plan,
};

/// Methods of a route without `methods`, as far as its controller can serve them. GET includes HEAD.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Matches components to routes and hooks, and compiles the templates. Adds the problems that it finds to `problems`,
/// which contains those of the components.
pub(super) fn join(
    config: Config,
    (files, images): (Files, Images),
    engine: Engine,
    components: Vec<Arc<Component>>,
    mut problems: Vec<Problem>,
) -> anyhow::Result<Generation> {
    let deployed = config.deployed.as_ref().map(|deployed| deployed.id.clone());
    let id = deployed.unwrap_or_else(|| files.id(&config, &images));
    let find = |name: &str| components.iter().find(|component| **component.name() == *name);
    let problem = |key: &str, message: String| config.place(key).problem(message);

    let hooks_of = |hooks: &[config::Hook], key: &str, global: bool, problems: &mut Vec<Problem>| {
        let mut found = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let Some(component) = find(&hook.component) else { continue };
            let wrong = check_hook(component, global);
            problems.extend(wrong.map(|message| problem(&format!("{key}[{index}]"), message)));
            found.push((hook.priority, component.clone()));
        }
        found
    };
    let global = hooks_of(&config.hooks, "hook", true, &mut problems);
    let mut routes = Routes::default();
    let mut handlers = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let hooks = hooks_of(&route.hooks, &format!("route[{index}].hooks"), false, &mut problems);
        let Some(controller) = find(&route.component) else { continue };
        let wrong = check_controller(route, controller);
        problems.extend(wrong.into_iter().map(|message| problem(&format!("route[{index}].component"), message)));
        if let Err(error) = routes.add(&route.path, &methods_of(route, controller), handlers.len()) {
            problems.push(problem(&format!("route[{index}].path"), error.to_string()));
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
        let message = format!("component `{}` does not export {}", model.name(), Export::Model.interface());
        problems.push(problem("model.component", message));
    }
    let templates = match config.templates.as_deref().map(Templates::load).transpose() {
        Ok(templates) => templates.unwrap_or_default(),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| problem("templates.folder", error.to_string())));
            Templates::default()
        }
    };
    for (index, config::StaticFiles { folder, fallback, .. }) in config.static_files.iter().enumerate() {
        if !folder.is_dir() {
            problems
                .push(problem(&format!("static[{index}].folder"), format!("there is no folder {}", folder.display())));
        } else if let Some(page) = fallback.as_ref().map(|page| folder.join(page)).filter(|page| !page.is_file()) {
            problems
                .push(problem(&format!("static[{index}].fallback"), format!("there is no file {}", page.display())));
        }
    }
    if !problems.is_empty() {
        bail!("{}", Problems::new(problems));
    }
    Ok(Generation {
        id,
        files,
        images,
        global: Chain::new(&[], &global, config.transaction.priority),
        engine,
        routes,
        handlers,
        rates: Arc::new(RateLimits::new(&config.rate_limits)),
        templates,
        database: None,
        databases: BTreeMap::new(),
        components,
        config,
        instruments: None,
        counted: Counted::default(),
    })
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
    if !route.methods.is_empty() {
        return route.methods.iter().filter_map(|method| method.parse().ok()).collect();
    }
    let served = &controller.capabilities.routes;
    let mut methods = if served.is_empty() { METHODS.to_vec() } else { served.methods(&route.path) };
    methods.retain(|method| lack(route, method, controller).is_none());
    methods.sort_by_key(|method| METHODS.iter().position(|other| other == method).unwrap_or(METHODS.len()));
    methods
}

/// Returns the reasons why a controller cannot serve its route.
fn check_controller(route: &config::Route, controller: &Component) -> Vec<String> {
    let (methods, name, path) = (methods_of(route, controller), controller.name(), &route.path);
    if !methods.is_empty() {
        return methods.iter().filter_map(|method| lack(route, method, controller)).collect();
    }
    let served = &controller.capabilities.routes;
    if !served.is_empty() {
        return vec![format!("component `{name}` has no function for {path}; it serves {served}")];
    }
    let wanted = match route.transaction {
        Some(access) => Export::controller(access).interface(),
        None => format!("{} or {}", Export::ReadController.interface(), Export::WriteController.interface()),
    };
    vec![format!("component `{name}` does not export {wanted}, which {path} needs")]
}

/// Returns what a controller lacks to serve a method of its route: an export for the access mode, or a function.
fn lack(route: &config::Route, method: &Method, controller: &Component) -> Option<String> {
    let (name, path, served) = (controller.name(), &route.path, &controller.capabilities.routes);
    let mode = plan::by_route(method, route.transaction, None);
    let access = mode.as_str();
    if !served.is_empty() && !served.serves(method, mode, path) {
        return Some(format!(
            "{method} {path} is {access}, for which component `{name}` has no function; it serves {served}"
        ));
    }
    controller.controller(mode).is_none().then(|| {
        let interface = Export::controller(mode).interface();
        format!("{method} {path} is {access}, for which component `{name}` would have to export {interface}")
    })
}

/// Returns problems that do not prevent serving: routes without a database, so that their statements fail.
pub fn warnings(generation: &Generation) -> Vec<Problem> {
    let config = &generation.config;
    let handlers = config.routes.iter().zip(&generation.handlers).enumerate();
    let missing = handlers.filter_map(|(index, (route, handler))| {
        let methods = methods_of(route, &handler.controller);
        let begins = methods.iter().filter(|method| plan::by_route(method, route.transaction, None) != Access::None);
        let begins: Vec<_> = begins.map(Method::as_str).collect();
        if begins.is_empty() { None } else { config.missing_database(index, &begins.join(", ")) }
    });
    missing.collect()
}
