//! Copies of throw-away databases, for the resets and the lagging replicas of `carya test`.

use super::MySqlSession;
use crate::{
    config::Dialect,
    database::host_tables::{OUTBOX_SECRET, qualifier},
    sql::error::DbError,
};

/// Begins the copying of rows.
const BEGIN: &str = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO'), foreign_key_checks = 0; \
    START TRANSACTION; ";

/// The tables of a database.
#[derive(Debug, Default)]
struct Tables {
    /// Description of each column, in order, for a comparison of two databases.
    columns: Vec<Column>,
    /// Base tables, each with the next value of its counter.
    tables: Vec<(String, Option<String>)>,
    has_triggers: bool,
}

#[derive(Debug, PartialEq)]
struct Column {
    table: String,
    name: String,
    definition: String,
    is_generated: bool,
}

/// Replaces the rows of `to` and of the host's tables of `to`. Returns `false`, without changing a row, if the databases
/// have different columns, or triggers, which would run and change further rows.
pub(in crate::database) async fn refill(session: &mut MySqlSession, from: &str, to: &str) -> Result<bool, DbError> {
    let host = |database| qualifier(Dialect::MySql, database).trim_matches(['`', '.']).to_owned();
    let mut all = Vec::new();
    for (from, to) in [(from.to_owned(), to.to_owned()), (host(from), host(to))] {
        let (saved, found) = (Tables::read(session, &from).await?, Tables::read(session, &to).await?);
        if saved.columns != found.columns || saved.has_triggers || found.has_triggers {
            return Ok(false);
        }
        all.push((from, saved, to, found));
    }
    let (mut rows, mut counters) = (String::new(), String::new());
    for (from, saved, to, found) in &all {
        saved.write_statements((from, to), found, &mut rows, &mut counters);
    }
    session.query_batch(format!("{BEGIN}{rows}COMMIT; {counters}SET SESSION foreign_key_checks = 1")).await?;
    Ok(true)
}

/// Copies the tables, functions and views of `from` to a database that `login` may read. Returns the name of that database,
/// which is dropped if it exists.
pub(in crate::database) async fn freeze(
    session: &mut MySqlSession,
    from: &str,
    login: &str,
) -> Result<String, DbError> {
    let to = format!("{from}_replica");
    let saved = Tables::read(session, from).await?;
    let mut tables = String::new();
    for (table, _) in &saved.tables {
        let name = quoted(table);
        tables += &format!("CREATE TABLE {to}.{name} LIKE {from}.{name}; ");
    }
    let (mut rows, mut counters) = (String::new(), String::new());
    saved.write_statements((from, &to), &saved, &mut rows, &mut counters);
    let sql = format!(
        "DROP DATABASE IF EXISTS {to}; CREATE DATABASE {to} CHARACTER SET utf8mb4; \
         GRANT SELECT, EXECUTE ON {to}.* TO {login}; {tables}{BEGIN}{rows}COMMIT; USE {to}"
    );
    session.query_batch(sql).await?;
    let mut statements: Vec<_> = session.query_batch(definitions(from, &to)).await?.into_iter().flatten().collect();
    while !statements.is_empty() {
        let (mut failed, mut failure) = (Vec::new(), None);
        for statement in &statements {
            if let Err(error) = session.query_batch(statement.clone()).await {
                // A view may use another one that has not been created yet.
                failed.push(statement.clone());
                failure = Some(error);
            }
        }
        if let Some(error) = failure.filter(|_| failed.len() == statements.len()) {
            return Err(error);
        }
        statements = failed;
    }
    Ok(to)
}

/// Returns a query for the statements that create the functions and views of `from` in `to`, the default database. The
/// text of a function has the SQL mode of its creation, and that of a view the standard one.
fn definitions(from: &str, to: &str) -> String {
    format!(
        "SELECT CONCAT('SET SESSION sql_mode = ''', sql_mode, '''; CREATE FUNCTION `', \
            REPLACE(routine_name, '`', '``'), '`(', COALESCE((SELECT GROUP_CONCAT('`', \
            REPLACE(parameter_name, '`', '``'), '` ', dtd_identifier ORDER BY ordinal_position) \
            FROM information_schema.parameters WHERE specific_schema = '{from}' \
            AND specific_name = routines.specific_name AND ordinal_position > 0), ''), ') RETURNS ', dtd_identifier, \
            IF(is_deterministic = 'YES', ' DETERMINISTIC ', ' '), sql_data_access, ' ', routine_definition) \
        FROM information_schema.routines WHERE routine_schema = '{from}' AND routine_type = 'FUNCTION' \
        UNION ALL SELECT CONCAT('SET SESSION sql_mode = ''''; CREATE VIEW `', REPLACE(table_name, '`', '``'), '` AS ', \
            REPLACE(view_definition, '`{from}`.', '`{to}`.')) \
        FROM information_schema.views WHERE table_schema = '{from}'"
    )
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Tables {
    async fn read(session: &mut MySqlSession, database: &str) -> Result<Self, DbError> {
        // MySQL caches the counters for a day; MariaDB does not have the variable.
        let fresh = "SET SESSION information_schema_stats_expiry = 0";
        match session.query_batch(fresh.to_owned()).await {
            Err(error) if error.is_one_of(&["1193"]) => {}
            set => drop(set?),
        }
        let sql = format!(
            "SELECT CONCAT_WS(CHAR(9), 'column', table_name, column_name, \
             IF(COALESCE(generation_expression, '') = '', 'stored', 'generated'), column_type, is_nullable, \
             COALESCE(column_default, ''), extra) FROM information_schema.columns \
             WHERE table_schema = '{database}' ORDER BY table_name, ordinal_position; \
             SELECT CONCAT_WS(CHAR(9), 'table', table_name, auto_increment) FROM information_schema.tables \
             WHERE table_schema = '{database}' AND table_type = 'BASE TABLE'; \
             SELECT 'trigger' FROM information_schema.triggers WHERE trigger_schema = '{database}'"
        );
        let mut tables = Self::default();
        for row in session.query_batch(sql).await?.into_iter().flatten() {
            let mut fields = row.splitn(5, '\t');
            let kind = fields.next();
            let mut next = || fields.next().unwrap_or_default().to_owned();
            match kind {
                Some("column") => tables.columns.push(Column {
                    table: next(),
                    name: next(),
                    is_generated: next() == "generated",
                    definition: next(),
                }),
                Some("table") => tables.tables.push((next(), Some(next()).filter(|next| !next.is_empty()))),
                _ => tables.has_triggers = true,
            }
        }
        Ok(tables)
    }

    /// Writes the statements that copy all rows, and those that set the counters.
    fn write_statements(&self, (from, to): (&str, &str), found: &Self, rows: &mut String, counters: &mut String) {
        // The secret of the outbox belongs to its database.
        for (table, counter) in self.tables.iter().filter(|(table, _)| table != OUTBOX_SECRET) {
            let of_table = self.columns.iter().filter(|column| column.table == *table && !column.is_generated);
            let columns: Vec<_> = of_table.map(|column| quoted(&column.name)).collect();
            let (columns, name) = (columns.join(", "), quoted(table));
            *rows += &format!(
                "DELETE FROM {to}.{name}; INSERT INTO {to}.{name} ({columns}) SELECT {columns} FROM {from}.{name}; "
            );
            let current =
                found.tables.iter().find(|(other, _)| other == table).and_then(|(_, counter)| counter.clone());
            if let Some(counter) = counter.as_ref().filter(|_| *counter != current) {
                *counters += &format!("ALTER TABLE {to}.{name} AUTO_INCREMENT = {counter}; ");
            }
        }
    }
}
