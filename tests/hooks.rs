//! Hooks around the controller: their order (the rows PH), what they get, and what they can and cannot change.

mod order;
mod powers;

use crate::support::Answer;

/// The components of hooks, each of its guest and with its settings.
fn components(hooks: &[(&str, &str, &str)]) -> String {
    let component = |(name, guest, settings): &(&str, &str, &str)| {
        format!("[component.{name}]\npath = \"{{guest:{guest}}}\"\nsettings = {{ name = {name:?}, {settings} }}\n")
    };
    hooks.iter().map(component).collect()
}

/// Global hooks, as the names of components or as `NAME@PRIORITY`.
fn global(hooks: &[&str]) -> String {
    let hook = |hook: &&str| match hook.split_once('@') {
        Some((name, priority)) => format!("[[hook]]\ncomponent = {name:?}\npriority = {priority}\n"),
        None => format!("[[hook]]\ncomponent = {hook:?}\n"),
    };
    hooks.iter().map(hook).collect()
}

/// A route to `probe`, with hooks of its own as the configuration writes them.
fn route(path: &str, hooks: &str) -> String {
    format!("[[route]]\npath = {path:?}\ncomponent = \"probe\"\nhooks = [{hooks}]\n")
}

/// What hooks and controller did, without what became of the transaction: `on_route1, before1, inside, after1`.
fn phases(answer: &Answer) -> String {
    let is_lifecycle = |step: &str| matches!(step, "start" | "start_read_only" | "commit" | "rollback" | "clear");
    let steps = answer.steps().replace("on_error:", "error").replace(':', "");
    steps.split(", ").filter(|step| !is_lifecycle(step)).collect::<Vec<_>>().join(", ")
}
