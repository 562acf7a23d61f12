//! `carya check` and `carya routes`: what an application consists of, and whether it could be served.

use std::fmt::Write;

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};

use crate::{
    app,
    config::Config,
    database::{Database, migrate},
    generation::{Generation, Handler},
    transaction::plan,
};

/// Checks everything that serve would, and lists what there is.
pub(super) async fn check(config: &Config, as_json: bool) -> anyhow::Result<String> {
    let generation = app::assemble(config)?;
    let database = database(config).await?;
    if as_json {
        let components: Vec<Value> = generation
            .components
            .iter()
            .map(|component| json!({"name": &**component.name(), "digest": component.digest}))
            .collect();
        let routes = routes_as_json(config, &generation);
        let all = json!({"ok": true, "components": components, "routes": routes, "database": database});
        return Ok(format!("{all:#}\n"));
    }
    let mut answer = format!("{}: good\ncomponents\n", config.file.display());
    for component in &generation.components {
        writeln!(answer, "  {:20} {}", component.name(), &component.digest[..12])?;
    }
    answer += &routes_as_text(config, &generation)?;
    answer += "database\n";
    for (key, value) in database.as_object().into_iter().flatten() {
        writeln!(answer, "  {key:20} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
    }
    Ok(answer)
}

/// Lists the routes.
pub(super) fn routes(config: &Config, as_json: bool) -> anyhow::Result<String> {
    let generation = app::assemble(config)?;
    match as_json {
        true => Ok(format!("{:#}\n", routes_as_json(config, &generation))),
        false => routes_as_text(config, &generation),
    }
}

/// Whether the database can be reached and what would be migrated. Makes nothing that is not there.
async fn database(config: &Config) -> anyhow::Result<Value> {
    let Some(settings) = &config.database else { return Ok(json!({"state": "not configured"})) };
    let mut connection = Database::look(settings).await.context("[database] cannot be opened")?;
    let pending = match &config.model.migrations {
        Some(folder) => migrate::pending(connection.as_mut(), folder).await?,
        None => Vec::new(),
    };
    let state = if connection.is_some() { "reachable" } else { "the file will be made" };
    Ok(json!({"state": state, "url": settings.url, "pending migrations": pending}))
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

fn routes_as_text(config: &Config, generation: &Generation) -> anyhow::Result<String> {
    let mut answer = "routes\n".to_owned();
    for line in lines(config, generation) {
        let chain: Vec<String> = line
            .outside
            .into_iter()
            .chain(["[transaction]".to_owned()])
            .chain(line.inside)
            .chain([line.component])
            .collect();
        writeln!(answer, "  {:24} {}", line.path, chain.join(" > "))?;
        for method in line.methods {
            writeln!(answer, "    {method}")?;
        }
    }
    Ok(answer)
}
