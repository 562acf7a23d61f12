//! `[test]`.

use std::path::PathBuf;

use super::{
    section::{Section, TableKey},
    value::text,
};

/// `[test]`, and the environment of `carya test`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Test {
    /// The shell command that runs the tests, in the folder of the configuration.
    pub command: Option<String>,
    /// The filter of the log, of `CARYA_LOG`. By default `warn`, because the log is mixed with the output of the tests.
    pub log_filter: String,
    /// The folder for temporary files, of `TMPDIR`.
    pub temporary: Option<PathBuf>,
}

pub(super) const TEST: TableKey =
    TableKey { name: "test", doc: "settings of `carya test`; see [Test an application](../guides/test.md)" };

/// Reads `[test]`. `filter` is the filter in the environment.
pub(super) fn test(section: &mut Section<'_>, filter: Option<&str>) -> Test {
    let doc = "command that runs the tests; run by the shell in the folder of the configuration";
    Test {
        command: section.key("command", text(), doc).or_none("none"),
        log_filter: filter.unwrap_or("warn").to_owned(),
        temporary: section.context().env.get("TMPDIR").map(PathBuf::from),
    }
}
