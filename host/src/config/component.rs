//! `[component.NAME]`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    destination::{Allowed, Destination, allowed_destination},
    entry::Entry,
    image::Image,
    pattern::target,
    problem::suggest,
    quantity::{memory, positive_duration, size, written_duration, written_size},
    section::{Key, Section, TableKey},
    server::max_concurrent,
    types::Type,
    value::{integer, path, setting, source, text},
};

/// `[component.NAME]`: a component with its settings and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentConfig {
    /// The component's file. If it is in a registry, the path is not valid until the component is pulled.
    pub path: PathBuf,
    /// The reference to the component in a registry. `None` for a local file.
    pub image: Option<Image>,
    /// How `carya dev` builds it.
    pub build: Option<Build>,
    /// The settings that the guest reads through `config.get`: strings as they are, other values as JSON text.
    pub settings: BTreeMap<String, String>,
    /// Maximum memory of an instance, in bytes.
    pub memory: usize,
    /// Maximum duration of a call.
    pub timeout: Duration,
    /// Maximum number of its requests that run at the same time. `None`: the default of the host.
    pub max_concurrent: Option<usize>,
    /// Destinations of the HTTP requests that it may send.
    pub http: Vec<Destination>,
    /// Maximum duration of such a request, from its start to the end of the response.
    pub http_timeout: Duration,
    /// Maximum size of the body of a response, in bytes.
    pub http_max_response: usize,
    /// Reuse of its instances. `None`: each request gets a new instance.
    pub reuse: Option<Reuse>,
    /// The state in which its instances start. `None`: that of the file.
    pub warm: Option<Warm>,
}

impl ComponentConfig {
    /// The component of a file, with the defaults of all other keys.
    pub fn of(path: PathBuf) -> Self {
        Self {
            path,
            image: None,
            build: None,
            settings: BTreeMap::new(),
            memory: 64 << 20,
            timeout: Duration::from_secs(5),
            max_concurrent: None,
            http: Vec::new(),
            http_timeout: Duration::from_secs(3),
            http_max_response: 16 << 20,
            reuse: None,
            warm: None,
        }
    }

    /// How many requests an instance may serve.
    pub fn max_requests(&self) -> u32 {
        self.reuse.map_or(1, |reuse| reuse.max_requests)
    }
}

/// `reuse` of a component: an instance serves several requests, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Maximum number of requests that an instance serves.
    pub max_requests: u32,
}

/// `warm` of a component: its instances start with the memory of an instance that has served requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    /// Path of a GET request that the component serves, with its query if there is one.
    pub path: String,
}

/// `build` and `source` of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// The shell command that builds it, run in the folder of the configuration.
    pub command: String,
    /// The folder of its sources. A change there triggers a build.
    pub source: PathBuf,
}

pub(super) const COMPONENT: TableKey = TableKey { name: "component", doc: "components, by name" };

/// Reads a component. `names` are the components of the file, and `most` is the limit of the host for `max_concurrent`.
pub(super) fn component(
    name: &str,
    entry: Entry<'_>,
    names: &[String],
    allowed: Allowed<'_>,
    most: usize,
) -> Option<ComponentConfig> {
    if entry.is_added_by_variable() {
        let end = suggest(name, names.iter().map(String::as_str));
        entry.report(format!("is not a component of the file; {end}"));
        return None;
    }
    entry.check_name(name);
    Section::of(entry, |section| {
        let (path, image) = file(section).required().unwrap_or_default();
        let defaults = ComponentConfig::of(path);
        ComponentConfig {
            image,
            build: build(section),
            settings: section.map(SETTINGS, &setting()),
            memory: section.key("memory", memory(), "memory of one instance").or(written_size(defaults.memory)),
            timeout: section.key("timeout", positive_duration(), "for one call").or(written_duration(defaults.timeout)),
            max_concurrent: max_concurrent(section, most, "`server.max_concurrent_per_component`"),
            http: section
                .key(
                    "http",
                    Type::list(allowed_destination(allowed)),
                    "[destinations](../guides/outbound.md) of HTTP requests; `allow` of `[outbound]` must cover each",
                )
                .or_empty(),
            http_timeout: section
                .key("http_timeout", positive_duration(), "for one HTTP request with its response")
                .or(written_duration(defaults.http_timeout)),
            http_max_response: section
                .key("http_max_response", size(), "longest body of such a response")
                .or(written_size(defaults.http_max_response)),
            reuse: section.optional(REUSE, reuse),
            warm: section.optional(WARM, warm),
            ..defaults
        }
    })
}

const SETTINGS: TableKey = TableKey {
    name: "settings",
    doc: "values that the guest reads by `config.get`: text as it is, other values as JSON",
};

/// The key of a component's file.
pub(super) fn file<'s, 'a>(section: &'s mut Section<'a>) -> Key<'s, 'a, 'a, (PathBuf, Option<Image>)> {
    let folder = section.context().folder;
    section.key(
        "path",
        source(folder),
        "a component, a core module with embedded WIT, `oci://HOST/REPOSITORY:TAG` or \
         `oci://HOST/REPOSITORY@sha256:DIGEST`",
    )
}

/// Reads `build` and `source`, which require each other.
fn build(section: &mut Section<'_>) -> Option<Build> {
    let folder = section.context().folder;
    let command = section
        .key(
            "build",
            text(),
            "command that makes the file, for `carya dev`; run by the shell in the folder of the configuration",
        )
        .required_with("source");
    let source = section.key("source", path(folder), "folder whose changes trigger the command").required_with("build");
    Some(Build { command: command?, source: source? })
}

const REUSE: TableKey = TableKey {
    name: "reuse",
    doc: "an instance serves several requests, one after the other; see [Reuse](../explanation/reuse.md)",
};

fn reuse(section: &mut Section<'_>) -> Reuse {
    let max_requests =
        section.key("max_requests", integer(2..=1_000_000_000), "requests that an instance serves").required();
    Reuse { max_requests: max_requests.unwrap_or_default() }
}

const WARM: TableKey = TableKey {
    name: "warm",
    doc: "instances start with the memory of an instance that has served requests; see \
          [Warm images](../explanation/warm.md)",
};

fn warm(section: &mut Section<'_>) -> Warm {
    let path = section.key("path", target(), "GET request of the component, sent 5 times before a generation serves");
    Warm { path: path.required().unwrap_or_default() }
}
