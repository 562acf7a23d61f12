//! Conflicts between routes or static folders that are valid on their own: two of them match the same request.

use matchit::{InsertError, Router};

use super::route::{Route, StaticFiles};

/// Returns the routes that conflict with an earlier one, by index, each with a message.
pub(super) fn conflicts(routes: &[Route]) -> Vec<(usize, String)> {
    let mut patterns = Router::new();
    let mut found = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let path = &route.path;
        // An empty path was reported when it was read.
        if path.is_empty() {
            continue;
        }
        let same = || (0..index).filter(|other| routes[*other].path == *path);
        // `matchit` rejects two parameters with different names at the same place.
        if same().next().is_none()
            && let Err(InsertError::Conflict { with }) = patterns.insert(path, ())
        {
            let message = format!("\"{path}\" matches the same paths as \"{with}\"; use the same parameter names");
            found.push((index, message));
        }
        if let Some(other) = same().find(|other| overlap(&routes[*other], route)) {
            let line = routes[other].line;
            let message =
                format!("\"{path}\" has methods that route[{other}] on line {line} serves; give each its own");
            found.push((index, message));
        }
    }
    found
}

/// Returns the static folders with the prefix of an earlier one, by index, each with a message.
pub(super) fn repeated(folders: &[StaticFiles]) -> Vec<(usize, String)> {
    let repeated = |(index, StaticFiles { path, .. }): (usize, &StaticFiles)| {
        let other = folders[..index].iter().position(|other| !path.is_empty() && other.path == *path)?;
        let line = folders[other].line;
        Some((index, format!("\"{path}\" is the prefix of static[{other}] on line {line}; give each folder its own")))
    };
    folders.iter().enumerate().filter_map(repeated).collect()
}

/// Returns whether two routes share a method. An empty list means all methods.
fn overlap(a: &Route, b: &Route) -> bool {
    let shared = a.methods.iter().any(|method| b.methods.contains(method));
    a.methods.is_empty() || b.methods.is_empty() || shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, methods: &[&str]) -> Route {
        Route {
            path: path.to_owned(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            component: "items".to_owned(),
            transaction: None,
            database: None,
            max_concurrent: None,
            isolation: None,
            primary: false,
            retries: None,
            commit_on: None,
            rollback_on_redirect: None,
            hooks: Vec::new(),
            line: 1,
        }
    }

    #[test]
    fn a_prefix_belongs_to_one_folder() {
        let folder = |path: &str| StaticFiles { path: path.to_owned(), line: 3, ..StaticFiles::default() };
        let folders = ["/", "/a", "/a/b", "", "/a", ""].map(folder);
        let message = "\"/a\" is the prefix of static[1] on line 3; give each folder its own";
        assert_eq!(repeated(&folders), [(4, message.to_owned())]);
    }

    #[test]
    fn the_later_of_two_is_the_problem() {
        for (earlier, later, conflict) in [
            (route("/a", &["GET"]), route("/a", &["POST"]), false),
            (route("/a", &["GET"]), route("/a", &["PUT", "GET"]), true),
            (route("/a", &["GET"]), route("/a", &[]), true),
            (route("/a", &[]), route("/b", &[]), false),
            (route("/{x}", &["GET"]), route("/{x}", &["PUT"]), false),
            (route("/{x}", &["GET"]), route("/{y}", &["PUT"]), true),
            (route("/{x}", &[]), route("/{*y}", &[]), true),
            (route("/{x}", &[]), route("/a", &[]), false),
            (route("/{{x}}", &["GET"]), route("/{{x}}", &["PUT"]), false),
        ] {
            let found = conflicts(&[earlier, later]);
            assert_eq!(found.len(), usize::from(conflict), "{found:?}");
            assert!(found.iter().all(|(index, _)| *index == 1));
        }
    }
}
