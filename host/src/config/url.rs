//! The URLs of databases: their dialect, and whether they are complete. A URL may hold a password, so no message
//! contains any part of it. This module does not connect.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt::Display, path::Path};

use percent_encoding::percent_decode_str;
use serde_json::json;
use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};

use super::{
    dialect::Dialect,
    env::{self, Environment},
    mask,
    problem::closest,
    tree::Value,
    types::Type,
    value::read_text,
};

/// Options that the URL of a PostgreSQL server may have: those of the connection. The host sets up the session itself.
const POSTGRES_OPTIONS: &[&str] = &["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "application_name"];
/// The same for MySQL.
const MYSQL_OPTIONS: &[&str] = &["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

/// Type of the URL of a database. A relative path of an SQLite file is based on `folder`.
pub(super) fn database(folder: &Path) -> Type<'_, (Dialect, String)> {
    url(|value| parse(folder, value))
}

/// Type of a further URL of a database, which must have the dialect of the first URL if that is known.
pub(super) fn another(first: Option<Dialect>, folder: &Path) -> Type<'_, String> {
    url(move |value| {
        let (dialect, url) = parse(folder, value)?;
        match first {
            Some(first) if first != dialect => {
                let (first, found) = (first.as_str(), dialect.as_str());
                Err(format!("is a URL of {found}, but `url` is one of {first}; both must have the same dialect"))
            }
            _ => Ok(url),
        }
    })
}

/// Type of the URL of a server.
pub(super) fn server() -> Type<'static, (Dialect, String)> {
    url(|value| match parse(Path::new(""), value)? {
        (Dialect::Sqlite, _) => Err("names an SQLite file, but must name a server".to_owned()),
        server => Ok(server),
    })
}

/// Returns whether two URLs name the same database, regardless of their logins.
pub fn same_database(one: &str, other: &str) -> bool {
    let place = |url| Parts::of(url).map(|parts| (parts.place, parts.name));
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// Returns the URL of a server with another database and another login. The options stay.
pub fn with_database(url: &str, database: &str, login: Option<(&str, &str)>) -> String {
    let Some(Parts { scheme, user, password, place, options, .. }) = Parts::of(url) else { return url.to_owned() };
    let (user, password) = login.unwrap_or((user, password));
    let (colon, mark) = (if password.is_empty() { "" } else { ":" }, if options.is_empty() { "" } else { "?" });
    format!("{scheme}://{user}{colon}{password}@{place}/{database}{mark}{options}")
}

fn url<'t, T>(read: impl Fn(&Value) -> Result<T, String> + 't) -> Type<'t, T> {
    let schema = json!({ "type": "string", "pattern": "^(sqlite|postgres|postgresql|mysql|mariadb):" });
    Type::secret("URL", schema, masked, read)
}

fn parse(folder: &Path, value: &Value) -> Result<(Dialect, String), String> {
    let url = read_text(value)?;
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok((Dialect::Sqlite, file(folder, path)?)),
        Some((scheme @ ("postgres" | "postgresql"), _)) => {
            whole(&url, scheme, POSTGRES_OPTIONS)?;
            url.parse::<PgConnectOptions>().map_err(refused)?;
            Ok((Dialect::Postgres, url))
        }
        Some((scheme @ ("mysql" | "mariadb"), _)) => {
            whole(&url, scheme, MYSQL_OPTIONS)?;
            url.parse::<MySqlConnectOptions>().map_err(refused)?;
            Ok((Dialect::MySql, url))
        }
        _ => Err(format!("is not the URL of a database; {}", accepted(&url))),
    }
}

/// Returns the end of a message about a URL of no known scheme: the form that was probably meant, else all forms. A URL
/// without a scheme may be a password, so the message contains no part of it.
fn accepted(url: &str) -> String {
    const FORMS: [(&str, &str); 5] = [
        ("sqlite", "sqlite:PATH"),
        ("postgres", "postgres://USER:PASSWORD@HOST/NAME"),
        ("postgresql", "postgresql://USER:PASSWORD@HOST/NAME"),
        ("mysql", "mysql://USER:PASSWORD@HOST/NAME"),
        ("mariadb", "mariadb://USER:PASSWORD@HOST/NAME"),
    ];
    // Other clients add the name of their driver: `jdbc:mysql:`, `postgresql+psycopg:`.
    let scheme = url.trim_start_matches("jdbc:").split(':').next().unwrap_or_default();
    let scheme = scheme.split('+').next().unwrap_or_default();
    let is_file = [".db", ".sqlite", ".sqlite3", ":memory:"].iter().any(|end| url.ends_with(end));
    let meant = match scheme {
        "pg" | "pgsql" | "psql" => Some("postgres"),
        // Microsoft's SQL Server, which is no misspelt MySQL.
        "mssql" => None,
        "file" => Some("sqlite"),
        _ => closest(scheme, FORMS.map(|(scheme, _)| scheme)).or(is_file.then_some("sqlite")),
    };
    match FORMS.iter().find(|(scheme, _)| Some(*scheme) == meant) {
        Some((_, form)) => format!("did you mean \"{form}\"?"),
        None => r#"accepted: "sqlite:PATH", "postgres://...", "mysql://...""#.to_owned(),
    }
}

/// Returns a URL as it was written, with its password hidden. `env` replaces the references in the URL.
fn masked(url: &str, env: Option<&Environment>) -> String {
    let resolve = |text: &str| env.map_or(Some(text.to_owned()), |env| env::expand(text, env).ok());
    let resolved = resolve(url).unwrap_or_default();
    let (Some(written), Some(found)) = (Parts::of(url), Parts::of(&resolved)) else {
        // A file has no password. The default of a reference to a whole URL may have one.
        return if resolved.starts_with("sqlite:") && !url.contains('@') {
            url.to_owned()
        } else {
            mask::hidden(url, env)
        };
    };
    // A reference may stand for more than one part of the URL, or for less. The parts as they were written are shown
    // only if they are those of the URL that is used.
    let is = |written: &str, found: &str| resolve(written).as_deref() == Some(found);
    if !is(written.scheme, found.scheme)
        || !is(written.user, found.user)
        || !is(written.password, found.password)
        || !is(written.place, found.place)
    {
        return mask::hidden(url, env);
    }
    let Parts { scheme, user, password, place, name, options } = written;
    let password = if password.is_empty() { String::new() } else { format!(":{}", mask::hidden(password, env)) };
    let at = if user.is_empty() { "" } else { "@" };
    let (mark, options) = if options.is_empty() { ("", "") } else { ("?", options) };
    format!("{scheme}://{user}{password}{at}{place}{name}{mark}{options}")
}

/// Returns a URL without its password and options, for messages and logs.
pub fn shown(url: &str) -> Cow<'_, str> {
    match Parts::of(url) {
        Some(Parts { scheme, user, place, name, .. }) if scheme != "sqlite" => {
            let at = if user.is_empty() { "" } else { "@" };
            format!("{scheme}://{user}{at}{place}{name}").into()
        }
        _ => url.into(),
    }
}

/// Returns the password in a server's URL, decoded; empty if there is none.
pub fn password(url: &str) -> String {
    let password = Parts::of(url).map_or("", |parts| parts.password);
    percent_decode_str(password).decode_utf8_lossy().into_owned()
}

/// Returns the value of an option in a server's URL, decoded.
pub fn option(url: &str, name: &str) -> Option<String> {
    let options = Parts::of(url)?.options.split('&').rev();
    let value = options.filter_map(|option| option.split_once('=')).find(|(option, _)| *option == name)?.1;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

/// Converts `sqlite:PATH` to `sqlite://PATH`.
fn file(folder: &Path, path: &str) -> Result<String, String> {
    let accepted = r#"write it as "sqlite:PATH""#;
    let path = path.strip_prefix("//").unwrap_or(path);
    let (path, options) = path.split_once('?').unwrap_or((path, ""));
    if path.is_empty() || path == ":memory:" || options.contains("mode=memory") {
        return Err(format!("names no file; in memory, each connection would have a database of its own; {accepted}"));
    }
    if !options.is_empty() {
        return Err(format!("has options, but the host sets them itself; {accepted}"));
    }
    Ok(format!("sqlite://{}", folder.join(path).display()))
}

/// The parts of a server's URL, not decoded.
struct Parts<'a> {
    scheme: &'a str,
    user: &'a str,
    password: &'a str,
    /// Host and port.
    place: &'a str,
    /// The database's name, with a slash before it.
    name: &'a str,
    options: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, name) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Some(Self { scheme, user, password, place, name, options })
    }
}

/// Checks that a URL names a user, a host and a database, which a driver would otherwise take from its environment, and
/// has no options beyond `accepted`, which a driver would ignore.
fn whole(url: &str, scheme: &str, accepted: &[&str]) -> Result<(), String> {
    let written = |wrong: &str| format!("{wrong}; write it as \"{scheme}://USER:PASSWORD@HOST/NAME\"");
    let parts = Parts::of(url).ok_or_else(|| written("has no `//`"))?;
    let options = parts.options.split('&').filter(|option| !option.is_empty());
    let options: Vec<&str> = options.map(|option| option.split_once('=').map_or(option, |(name, _)| name)).collect();
    if url.contains('#') {
        return Err(malformed("it has a `#`"));
    }
    if parts.user.is_empty() {
        return Err(written("names no user"));
    }
    if parts.place.is_empty() {
        return Err(written("names no host"));
    }
    if parts.name.len() < 2 {
        return Err(written("names no database"));
    }
    if !options.iter().all(|name| accepted.contains(name)) {
        return Err(format!("has an unknown option; accepted: {}", accepted.join(", ")));
    }
    Ok(())
}

/// Formats a driver's error about a URL.
fn refused(error: sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(reason) => malformed(reason),
        other => malformed(other),
    }
}

fn malformed(reason: impl Display) -> String {
    format!(
        "is malformed: {reason}; in user names and passwords, write `/`, `?`, `#`, `@` and `%` as %2F, %3F, %23, %40 \
         and %25"
    )
}
