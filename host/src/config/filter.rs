//! `CARYA_LOG`: the filter of the log. `EnvFilter` accepts every word as the name of a target, so that a misspelt level
//! would silence the log.

use tracing_subscriber::EnvFilter;

use super::{
    context::Context,
    problem::{Origin, closest, suggest},
};

const VARIABLE: &str = "CARYA_LOG";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The first parts of the targets of this program's log lines: the host, and its guests.
const HOST: &str = "carya";
const GUEST: &str = "guest";

/// The parts after `carya::`: the modules of the library, and `access`, `log`, `pool` and `sql`, which log lines name.
const MODULES: [&str; 43] = [
    "access",
    "acme",
    "admin",
    "allocator",
    "app",
    "cli",
    "component",
    "config",
    "content",
    "database",
    "delivery",
    "deploy",
    "diff",
    "error",
    "exchange",
    "fleet",
    "gate",
    "generation",
    "harden",
    "lifecycle",
    "log",
    "message",
    "migrate",
    "oci",
    "outbound",
    "outbox",
    "pool",
    "private",
    "quota",
    "rates",
    "reload",
    "render",
    "routes",
    "server",
    "sql",
    "supervisor",
    "task",
    "telemetry",
    "testing",
    "tls",
    "token",
    "transaction",
    "watch",
];

/// Returns the filter in the environment. Reports a filter that selects nothing.
pub(super) fn filter(context: &Context<'_>) -> Option<String> {
    let text = context.env.get(VARIABLE).filter(|text| !text.trim().is_empty())?;
    let read = read(text);
    read.map_err(|message| context.report(Origin::Variable(VARIABLE.to_owned()), "", message)).ok()
}

/// Returns the filter of a host that has none in its environment.
pub(super) fn default_filter(debug: bool) -> String {
    if debug { "info,carya::lifecycle=debug" } else { "info" }.to_owned()
}

/// Reads a list of directives, such as `info,carya::sql=debug`.
fn read(text: &str) -> Result<String, String> {
    // `EnvFilter` misreads a target after a space.
    let directives: Vec<_> = text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    directives.iter().try_for_each(|directive| check(directive))?;
    let filter = directives.join(",");
    let malformed = |_| format!("{text:?} is not a filter; write it as \"info\" or \"info,carya::sql=debug\"");
    EnvFilter::builder().parse(&filter).map_err(malformed)?;
    Ok(filter)
}

/// Checks one directive: `LEVEL`, `TARGET` or `TARGET=LEVEL`.
fn check(directive: &str) -> Result<(), String> {
    // `TARGET[SPAN{FIELD}]=LEVEL` selects spans, which only libraries have.
    if is_level(directive) || directive.contains(['[', ']', '{', '}']) {
        return Ok(());
    }
    let (target, level) = directive.split_once('=').map_or((directive, None), |(target, level)| (target, Some(level)));
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Err(format!("{level:?} is not a level; {}", suggest(level, LEVELS)));
    }
    let mut parts = target.split("::");
    match (parts.next().unwrap_or_default(), parts.next()) {
        (HOST, Some(module)) if !MODULES.contains(&module) => {
            Err(format!("{target:?} is not a target of log lines; {}", suggest(module, MODULES)))
        }
        (HOST | GUEST, _) => Ok(()),
        (library, module) => match closest(library, [HOST, GUEST]) {
            Some(meant) => Err(format!("{target:?} is not a target of log lines; did you mean `{meant}`?")),
            // A target of a library.
            None if level.is_some() || module.is_some() => Ok(()),
            None => Err(format!(
                "{target:?} is not a level; {}. To select the lines of a library, write {target}=debug",
                suggest(target, LEVELS)
            )),
        },
    }
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) || matches!(word, "0" | "1" | "2" | "3" | "4" | "5")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (text, expected) in [
            ("info", Ok("info")),
            ("OFF", Ok("OFF")),
            ("5", Ok("5")),
            (" info, carya::sql=debug ,", Ok("info,carya::sql=debug")),
            ("carya", Ok("carya")),
            ("carya::server::connections=trace,guest=debug", Ok("carya::server::connections=trace,guest=debug")),
            ("warn,hyper=debug,h2::codec", Ok("warn,hyper=debug,h2::codec")),
            ("info,[request{id=1}]=debug", Ok("info,[request{id=1}]=debug")),
            ("inof", Err("\"inof\" is not a level; did you mean `info`?")),
            ("verbose", Err("\"verbose\" is not a level; accepted: off, error, warn, info, debug, trace.")),
            ("6", Err("\"6\" is not a level")),
            ("info,hyper", Err("write hyper=debug")),
            ("info,carya=debgu", Err("\"debgu\" is not a level; did you mean `debug`?")),
            ("carya=", Err("\"\" is not a level")),
            ("caria=debug", Err("did you mean `carya`?")),
            ("guests=debug", Err("did you mean `guest`?")),
            ("carya::sqll=debug", Err("did you mean `sql`?")),
            ("carya::nothing=debug", Err("accepted: access, acme, admin")),
            ("=debug", Err("\"=debug\" is not a filter")),
            ("info;debug", Err("\"info;debug\" is not a level")),
        ] {
            match (read(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn every_module_is_a_target() {
        let modules = include_str!("../lib.rs").lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
        let missing: Vec<_> = modules.filter(|module| !MODULES.contains(module)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
