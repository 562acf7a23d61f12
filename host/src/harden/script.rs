//! The script of SQL statements: renders the templates in `postgres/*.sql` and `mysql/*.sql`.
//!
//! A template begins with a comment: its title in the first line, then the reasons. A value is written `{{ name }}`; a
//! `{% for login in logins %}` repeats lines for each login. Names and literals must be quoted before they are inserted
//! into a template.

use minijinja::{Environment, UndefinedBehavior, Value};

use super::names::wrong;
use crate::sql::error::DbError;

/// A template: the name of its file, and its text.
pub(super) type Template = (&'static str, &'static str);

/// Templates with the values for them.
pub(super) struct Templates {
    environment: Environment<'static>,
    values: Value,
}

/// A rendered template: statements with a common title.
pub(super) struct Group {
    pub(super) title: String,
    pub(super) sql: String,
}

impl Templates {
    pub(super) fn new(files: &[Template], values: Value) -> Result<Self, DbError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, text) in files {
            environment.add_template(name, text).map_err(malformed)?;
        }
        Ok(Self { environment, values })
    }

    pub(super) fn render(&self, name: &str) -> Result<String, DbError> {
        let template = self.environment.get_template(name).map_err(malformed)?;
        template.render(&self.values).map_err(malformed)
    }

    /// Renders a template that is not in a file.
    pub(super) fn render_text(&self, text: &str) -> Result<String, DbError> {
        self.environment.render_str(text, &self.values).map_err(malformed)
    }

    /// Renders a template with a title.
    pub(super) fn group(&self, name: &str) -> Result<Group, DbError> {
        let sql = self.render(name)?;
        let title = sql.lines().next().unwrap_or_default().trim_start_matches("-- ").to_owned();
        Ok(Group { title, sql })
    }

    /// Renders the whole script: the groups between `head.sql` and `tail.sql`.
    pub(super) fn script(&self, groups: &[&str]) -> Result<String, DbError> {
        let files = ["head.sql"].iter().chain(groups).chain(&["tail.sql"]);
        let parts: Vec<String> = files.map(|name| self.render(name)).collect::<Result<_, _>>()?;
        Ok(parts.join("\n\n") + "\n")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "passed to `map_err`")]
fn malformed(error: minijinja::Error) -> DbError {
    wrong(format!("a template of `carya harden` cannot be rendered: {error:#}"))
}
