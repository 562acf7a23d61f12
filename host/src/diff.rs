//! Compares two generations: takes their outlines, and returns a list of differences. Callers decide whether a
//! difference is forbidden or only reported.

mod component;
mod difference;
mod outline;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use self::outline::{DatabaseOutline, RouteOutline};
pub(crate) use self::{difference::Difference, outline::Outline};
use crate::{
    component::Export,
    config::{self, Access, DifferenceKind as Kind},
};

/// Error for a new generation with forbidden differences from the old one.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Refused(Vec<Difference>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`[reload] deny` forbids differences of the new generation:")?;
        self.0.iter().try_for_each(|difference| write!(f, "\n  {}: {difference}", difference.kind.as_str()))?;
        write!(f, "\nundo these changes, or first remove the rule in a separate reload")
    }
}

/// Returns the differences from `old` to `new`: routes first, then components, then the rest.
pub(crate) fn between(old: &Outline, new: &Outline) -> Vec<Difference> {
    let mut found = Vec::new();
    routes(old, new, &mut found);
    component::all(&old.components, &new.components, &mut found);
    hooks(&old.hooks, &new.hooks, |kind, words| found.push(Difference::new(kind, "[[hook]]", words)));
    if old.model != new.model {
        let name = |model: &Option<String>| model.clone().unwrap_or_else(|| "none".to_owned());
        let (now, before, capability) = (name(&new.model), name(&old.model), Export::Model.capability());
        let words = format!("the model is {now}, was {before}: it may {capability}");
        found.push(Difference::new(Kind::ModelChanged, "[model]", words));
    }
    databases(&old.databases, &new.databases, &mut found);
    static_files(old, new, &mut found);
    for rule in old.rules.difference(&new.rules) {
        let words = format!("no longer forbids {}", rule.as_str());
        found.push(Difference::new(Kind::DenyRuleLifted, "[reload] deny", words));
    }
    found
}

/// Checks differences against the `deny` rules of both outlines. The old rules apply too, because otherwise a new
/// generation could remove the rule that forbids it.
///
/// # Errors
///
/// [`Refused`] with the forbidden differences.
pub(crate) fn refuse(differences: &[Difference], old: &Outline, new: &Outline) -> Result<(), Refused> {
    let rules: BTreeSet<_> = old.rules.union(&new.rules).collect();
    match denied(differences, |kind| rules.contains(&kind)) {
        denied if denied.is_empty() => Ok(()),
        denied => Err(Refused(denied)),
    }
}

/// Returns the differences of forbidden kinds.
pub(crate) fn denied(differences: &[Difference], is_forbidden: impl Fn(Kind) -> bool) -> Vec<Difference> {
    differences.iter().filter(|difference| is_forbidden(difference.kind)).cloned().collect()
}

/// Compares routes. If methods of a path have the same difference, they share one entry.
fn routes(old: &Outline, new: &Outline, found: &mut Vec<Difference>) {
    let paths: BTreeSet<_> = old.routes.keys().chain(new.routes.keys()).map(|(path, _)| path).collect();
    for path in paths {
        let of_path = |outline: &Outline| -> BTreeMap<String, RouteOutline> {
            let routes = outline.routes.iter().filter(|((other, _), _)| other == path);
            routes.map(|((_, method), route)| (method.clone(), route.clone())).collect()
        };
        let mut grouped: Vec<(Kind, String, Vec<String>)> = Vec::new();
        let (before, now) = (of_path(old), of_path(new));
        for method in before.keys().chain(now.keys().filter(|method| !before.contains_key(*method))) {
            for (kind, words) in route(before.get(method), now.get(method)) {
                match grouped.iter_mut().find(|(other, same, _)| (*other, same) == (kind, &words)) {
                    Some((_, _, methods)) => methods.push(method.clone()),
                    None => grouped.push((kind, words, vec![method.clone()])),
                }
            }
        }
        let place = |methods: Vec<String>| format!("route {} {path}", methods.join(", "));
        found.extend(grouped.into_iter().map(|(kind, words, methods)| Difference::new(kind, place(methods), words)));
    }
}

fn route(old: Option<&RouteOutline>, new: Option<&RouteOutline>) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) => {
            return vec![(Kind::RouteLost, format!("was removed: {} served it", old.component))];
        }
        (None, Some(RouteOutline { component, access, database, .. })) => {
            let words = format!("is new: served by {component}, {}, database {database}", access.as_str());
            return vec![(Kind::RouteNew, words)];
        }
        (None, None) => return found,
    };
    if old.component != new.component {
        let words = format!("is served by {}, was {}", new.component, old.component);
        found.push((Kind::RouteComponentChanged, words));
    }
    if old.access != new.access {
        let gains = power(new.access) > power(old.access);
        let kind = if gains { Kind::RouteGainsAccess } else { Kind::RouteLosesAccess };
        found.push((kind, format!("has access {}, was {}", new.access.as_str(), old.access.as_str())));
    }
    if old.database != new.database {
        let words = format!("uses the database {}, was {}", new.database, old.database);
        found.push((Kind::RouteDatabaseChanged, words));
    }
    hooks(&old.hooks, &new.hooks, |kind, words| found.push((kind, words)));
    found
}

fn power(access: Access) -> Option<usize> {
    [Access::None, Access::ReadOnly, Access::ReadWrite].iter().position(|other| *other == access)
}

fn hooks(old: &BTreeMap<String, bool>, new: &BTreeMap<String, bool>, mut add: impl FnMut(Kind, String)) {
    let side = |inside: bool| if inside { "inside" } else { "outside" };
    for (name, inside) in new {
        match old.get(name) {
            None => add(Kind::HookAdded, format!("the hook {name} is new, {} the transaction", side(*inside))),
            Some(before) if before != inside => {
                let kind = if *inside { Kind::HookMovedInside } else { Kind::HookMovedOutside };
                let effect = if *inside { "it receives the database handle" } else { "its failure does not roll back" };
                add(kind, format!("the hook {name} is now {} the transaction: {effect}", side(*inside)));
            }
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        add(Kind::HookRemoved, format!("the hook {name} was removed"));
    }
}

fn databases(
    old: &BTreeMap<String, DatabaseOutline>,
    new: &BTreeMap<String, DatabaseOutline>,
    found: &mut Vec<Difference>,
) {
    for (name, now) in new {
        let place = config::section_of(name);
        match old.get(name) {
            None => found.push(Difference::new(Kind::DatabaseNew, place, format!("is new: {}", now.shown))),
            Some(before) if before.reached_by != now.reached_by => {
                let words = match before.shown == now.shown {
                    true => "has different logins or replicas".to_owned(),
                    false => format!("is {}, was {}", now.shown, before.shown),
                };
                found.push(Difference::new(Kind::DatabaseChanged, place, words));
            }
            Some(_) => {}
        }
    }
    for (name, before) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        let words = format!("is no longer used: {}", before.shown);
        found.push(Difference::new(Kind::DatabaseLost, config::section_of(name), words));
    }
}

fn static_files(old: &Outline, new: &Outline, found: &mut Vec<Difference>) {
    for (path, folder) in new.static_files.iter().filter(|(path, folder)| old.static_files.get(*path) != Some(folder)) {
        let words = format!("now serves the folder {}", folder.display());
        found.push(Difference::new(Kind::StaticNew, format!("[[static]] {path}"), words));
    }
    for path in old.static_files.keys().filter(|path| !new.static_files.contains_key(*path)) {
        found.push(Difference::new(Kind::StaticLost, format!("[[static]] {path}"), "is no longer served"));
    }
}
