//! `[test]`.

use std::path::PathBuf;

use super::{
    dialect::Dialect,
    section::{Section, TableKey},
    url,
    value::text,
};

/// `[test]`, and the environment of `carya test`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Test {
    /// The server on which the throw-away databases of servers are created. `None`: the application uses SQLite, or the
    /// command starts a server.
    pub server: Option<TestServer>,
    /// The shell command that runs the tests, in the folder of the configuration.
    pub command: Option<String>,
    /// The filter of the log, of `CARYA_LOG`. By default `warn`, because the log is mixed with the output of the tests.
    pub log_filter: String,
    /// The folder for temporary files, of `TMPDIR`.
    pub temporary: Option<PathBuf>,
}

/// `[test] url`: a database server with the login of an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct TestServer {
    /// The dialect of `url`.
    pub dialect: Dialect,
    /// URL with user, host and database. It may contain a password.
    pub url: String,
}

pub(super) const TEST: TableKey =
    TableKey { name: "test", doc: "settings of `carya test`; see [Test an application](../guides/test.md)" };

/// Reads `[test]`. `filter` is the filter in the environment.
pub(super) fn test(section: &mut Section<'_>, filter: Option<&str>) -> Test {
    let server = section.key(
        "url",
        url::server().map(|(dialect, url)| TestServer { dialect, url }),
        "login that may create databases and logins, on the server for throw-away databases; only if a URL of \
         `[database]` names a server",
    );
    let server = server.or_none("none");
    let doc = "command that runs the tests; run by the shell in the folder of the configuration";
    Test {
        server,
        command: section.key("command", text(), doc).or_none("none"),
        log_filter: filter.unwrap_or("warn").to_owned(),
        temporary: section.context().env.get("TMPDIR").map(PathBuf::from),
    }
}
