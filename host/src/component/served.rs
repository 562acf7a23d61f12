//! The routes that the functions of a component serve. The guest library writes them into the custom section
//! `carya:routes` of the core module: one line `METHOD ACCESS PATTERN` for each function.

use std::{fmt, str::FromStr};

use http::Method;
use wasmparser::{Parser, Payload};

use crate::{config::Access, routes::decode_unreserved};

/// Name of the custom section.
const SECTION: &str = "carya:routes";

/// A route that a function of a component serves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServedRoute {
    method: Method,
    /// Access mode for which the function has the handle.
    access: Access,
    /// Pattern of the path, with decoded unreserved characters.
    pattern: String,
}

/// The routes that the functions of a component serve. Empty if the component does not declare them, so the host cannot
/// compare them with its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedRoutes(Vec<ServedRoute>);

impl ServedRoutes {
    /// Reads the routes of a component or core module.
    ///
    /// # Errors
    ///
    /// Returns an error if a line of the custom section is malformed.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut routes: Vec<ServedRoute> = Vec::new();
        // The compiler has validated the component, so there is no malformed section.
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            let Payload::CustomSection(section) = payload else { continue };
            if section.name() != SECTION {
                continue;
            }
            for line in String::from_utf8_lossy(section.data()).lines() {
                routes.push(line.parse().map_err(|()| {
                    format!("its custom section `{SECTION}` has the line {line:?} instead of `METHOD ACCESS PATTERN`")
                })?);
            }
        }
        routes.sort_by(|a, b| (&a.pattern, a.method.as_str()).cmp(&(&b.pattern, b.method.as_str())));
        Ok(Self(routes))
    }

    /// Returns whether the component does not declare its routes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns each route as text: `GET /items/{id} (read-only)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Returns the methods for which the component has functions at a pattern.
    pub fn methods(&self, pattern: &str) -> Vec<Method> {
        self.at(pattern).map(|route| route.method.clone()).collect()
    }

    /// Returns whether a function serves a method of a pattern with this access mode. The function for GET serves HEAD
    /// too, unless there is one for HEAD.
    pub fn serves(&self, method: &Method, access: Access, pattern: &str) -> bool {
        let has = |method: &Method| self.at(pattern).any(|route| route.method == *method);
        let method = if *method == Method::HEAD && !has(method) { &Method::GET } else { method };
        self.at(pattern).any(|route| route.method == *method && route.access == access)
    }

    fn at(&self, pattern: &str) -> impl Iterator<Item = &ServedRoute> {
        let pattern = decode_unreserved(pattern).into_owned();
        self.0.iter().filter(move |route| route.pattern == pattern)
    }
}

impl fmt::Display for ServedRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join(", "))
    }
}

impl FromStr for ServedRoute {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let [method, access, pattern] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { return Err(()) };
        let method = method.parse().map_err(|_| ())?;
        let access = Access::ALL.into_iter().find(|mode| mode.as_str() == access).ok_or(())?;
        if !pattern.starts_with('/') {
            return Err(());
        }
        Ok(Self { method, access, pattern: decode_unreserved(pattern).into_owned() })
    }
}

impl fmt::Display for ServedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.method, self.pattern, self.access.as_str())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, CustomSection, Module, ModuleSection};

    use super::*;

    /// A component with a core module that has these custom sections.
    fn component(sections: &[(&str, &str)]) -> Vec<u8> {
        let mut module = Module::new();
        for (name, text) in sections {
            module.section(&CustomSection { name: (*name).into(), data: text.as_bytes().into() });
        }
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        component.finish()
    }

    #[test]
    fn reads_the_lines_of_all_sections() {
        let bytes = component(&[
            (SECTION, "POST read-write /items\nGET read-only /items\n"),
            ("other", "nothing"),
            (SECTION, "GET none /%65cho/{*a b}\n"),
        ]);
        let routes = ServedRoutes::read(&bytes);
        let text = routes.as_ref().map(ToString::to_string);
        assert_eq!(text, Ok("GET /echo/{*a b} (none), GET /items (read-only), POST /items (read-write)".to_owned()));
        let methods = routes.map(|routes| routes.methods("/%69tems"));
        assert_eq!(methods, Ok(vec![Method::GET, Method::POST]));
    }

    #[test]
    fn a_component_without_the_section_declares_no_routes() {
        assert_eq!(ServedRoutes::read(&component(&[])), Ok(ServedRoutes::default()));
    }

    #[test]
    fn rejects_malformed_lines() {
        for line in ["", "GET", "GET /items", "GET readonly /items", "G@T none /items", "GET none items"] {
            let error = ServedRoutes::read(&component(&[(SECTION, &format!("{line}\n"))])).err().unwrap_or_default();
            assert!(error.contains(&format!("{line:?}")), "{line:?}: {error:?}");
        }
    }

    #[test]
    fn head_uses_the_function_for_get_unless_it_has_its_own() {
        let text = "GET read-only /a\nGET read-only /b\nHEAD none /b\nPOST read-write /a\n";
        let routes = ServedRoutes::read(&component(&[(SECTION, text)])).unwrap_or_default();
        for (method, access, pattern, expected) in [
            (Method::GET, Access::ReadOnly, "/a", true),
            (Method::GET, Access::ReadWrite, "/a", false),
            (Method::HEAD, Access::ReadOnly, "/a", true),
            (Method::HEAD, Access::ReadOnly, "/b", false),
            (Method::HEAD, Access::None, "/b", true),
            (Method::POST, Access::ReadWrite, "/a", true),
            (Method::POST, Access::ReadWrite, "/b", false),
            (Method::GET, Access::ReadOnly, "/c", false),
        ] {
            assert_eq!(routes.serves(&method, access, pattern), expected, "{method} {pattern} {access:?}");
        }
    }
}
