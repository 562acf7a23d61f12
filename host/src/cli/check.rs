//! `carya check` and `carya routes`: what an application consists of, and whether it could be served.

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};

use crate::{
    app,
    config::Config,
    database::Database,
    generation::{Generation, Handler},
    transaction::plan,
};

/// Checks everything that serve would, and prints what there is.
pub(super) async fn check(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let generation = app::assemble(config)?;
    let database = database(config).await?;
    if as_json {
        let components: Vec<Value> = generation
            .components
            .iter()
            .map(|component| json!({"name": &**component.name(), "digest": component.digest}))
            .collect();
        let routes = routes_as_json(config, &generation);
        println!("{:#}", json!({"ok": true, "components": components, "routes": routes, "database": database}));
        return Ok(());
    }
    println!("{}: good", config.file.display());
    println!("components");
    for component in &generation.components {
        println!("  {:20} {}", component.name(), &component.digest[..12]);
    }
    print_routes(config, &generation);
    println!("database");
    for (key, value) in database.as_object().into_iter().flatten() {
        println!("  {key:20} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    Ok(())
}

/// Lists the routes.
pub(super) fn routes(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let generation = app::assemble(config)?;
    match as_json {
        true => println!("{:#}", routes_as_json(config, &generation)),
        false => print_routes(config, &generation),
    }
    Ok(())
}

/// Whether the database can be reached and what would be migrated. Makes nothing that is not there.
async fn database(config: &Config) -> anyhow::Result<Value> {
    let Some(settings) = &config.database else { return Ok(json!({"state": "not configured"})) };
    let path = settings.url.strip_prefix("sqlite://").unwrap_or(&settings.url);
    if !std::path::Path::new(path).exists() {
        return Ok(json!({"state": "the file will be made", "file": path}));
    }
    let database = Database::open(settings).await.context("[database] cannot be opened")?;
    let pending = match &config.model.migrations {
        Some(folder) => database.pending_migrations(folder).await?,
        None => Vec::new(),
    };
    Ok(json!({"state": "reachable", "file": path, "pending migrations": pending}))
}

/// A route in words: methods with their access modes, and the hooks around it.
struct Line {
    path: String,
    methods: Vec<String>,
    component: String,
    outside: Vec<String>,
    inside: Vec<String>,
}

fn lines(config: &Config, generation: &Generation) -> Vec<Line> {
    let line = |(route, handler): (&crate::config::Route, &Handler)| {
        let names = |hooks: &[std::sync::Arc<crate::component::Component>]| {
            hooks.iter().map(|hook| hook.name().to_string()).collect()
        };
        let method = |method: &Method| format!("{method} {}", plan::by_route(method, handler.access, None).as_str());
        Line {
            path: route.path.clone(),
            methods: app::methods_of(route, &handler.controller).iter().map(method).collect(),
            component: handler.controller.name().to_string(),
            outside: names(handler.chain.outside()),
            inside: names(handler.chain.inside()),
        }
    };
    config.routes.iter().zip(&generation.handlers).map(line).collect()
}

fn routes_as_json(config: &Config, generation: &Generation) -> Value {
    let line = |line: Line| {
        json!({
            "path": line.path,
            "methods": line.methods,
            "component": line.component,
            "hooks_outside": line.outside,
            "hooks_inside": line.inside,
        })
    };
    lines(config, generation).into_iter().map(line).collect()
}

fn print_routes(config: &Config, generation: &Generation) {
    println!("routes");
    for line in lines(config, generation) {
        let chain: Vec<String> = line
            .outside
            .into_iter()
            .chain(["[transaction]".to_owned()])
            .chain(line.inside)
            .chain([line.component])
            .collect();
        println!("  {:24} {}", line.path, chain.join(" > "));
        for method in line.methods {
            println!("    {method}");
        }
    }
}
