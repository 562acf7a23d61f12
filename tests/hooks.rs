//! Hooks around the controller: their order (the rows `PH`), the values that they receive, and the limits of their
//! changes.

mod identity;
mod order;
mod powers;

use crate::support::Response;

/// Returns the components of hooks. Each hook is a name, a guest and settings.
fn components(hooks: &[(&str, &str, &str)]) -> String {
    let component = |(name, guest, settings): &(&str, &str, &str)| {
        format!("[component.{name}]\npath = \"{{guest:{guest}}}\"\nsettings = {{ name = {name:?}, {settings} }}\n")
    };
    hooks.iter().map(component).collect()
}

/// Returns a `[[hook]]` section for each component, given as `NAME` or `NAME@PRIORITY`.
fn global(hooks: &[&str]) -> String {
    let hook = |hook: &&str| match hook.split_once('@') {
        Some((name, priority)) => format!("[[hook]]\ncomponent = {name:?}\npriority = {priority}\n"),
        None => format!("[[hook]]\ncomponent = {hook:?}\n"),
    };
    hooks.iter().map(hook).collect()
}

/// Returns a route to `probe`. `hooks` is the content of its list of hooks, in TOML.
fn route(path: &str, hooks: &str) -> String {
    format!("[[route]]\npath = {path:?}\ncomponent = \"probe\"\nhooks = [{hooks}]\n")
}

/// Returns the steps of hooks and controller, without those of the transaction: `on_route1, before1, inside, after1`.
fn phases(answer: &Response) -> String {
    let is_lifecycle = |step: &str| matches!(step, "start" | "start_read_only" | "commit" | "rollback" | "clear");
    let steps = answer.steps().replace("on_error:", "error").replace(':', "");
    steps.split(", ").filter(|step| !is_lifecycle(step)).collect::<Vec<_>>().join(", ")
}
