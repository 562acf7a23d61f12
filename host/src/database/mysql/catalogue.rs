//! Reads the constraints of a table from the catalogue of MySQL and MariaDB, as far as their messages do not contain
//! them.

use super::MySqlSession;
use crate::{
    config::Dialect,
    database::constraint::{Constraint, Table, literal},
    gate::columns_in,
    sql::error::{DbError, ViolationKind},
};

/// Pattern of the statements in a trigger that may change another table. `REPLACE(..)` is a function.
const CHANGES: &str = r"'\b(CALL|DELETE|INSERT|UPDATE)\b|\bREPLACE\b(?!\s*\()'";

impl MySqlSession {
    /// Returns the constraints of a table, without foreign keys. Each column has a constraint of the kind `NotNull`.
    /// Returns none if there is no such table, or if the login has no right on it.
    pub(in crate::database) async fn read_table(&mut self, database: &str, table: &str) -> Result<Table, DbError> {
        let (of, named) = (literal(database), literal(table));
        let keys = self.query_batch(format!(
            "SELECT CAST(JSON_ARRAY('unique', index_name, column_name) AS CHAR) FROM information_schema.statistics \
            WHERE table_schema = {of} AND table_name = {named} AND non_unique = 0 ORDER BY index_name, seq_in_index"
        ));
        let mut found = Table::of_rows(keys.await?.iter().flatten());
        let columns = self.query_batch(format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = {of} AND table_name = {named}"
        ));
        let columns: Vec<String> = columns.await?.into_iter().flatten().collect();
        found.constraints.extend(columns.iter().map(|column| Constraint {
            kind: ViolationKind::NotNull,
            label: column.clone(),
            name: None,
            columns: vec![column.clone()],
        }));
        let checks = match self.is_mariadb {
            true => format!(
                "SELECT CAST(JSON_ARRAY(constraint_name, check_clause, level) AS CHAR) \
                FROM information_schema.check_constraints WHERE constraint_schema = {of} AND table_name = {named}"
            ),
            false => format!(
                "SELECT CAST(JSON_ARRAY(constraint_name, check_clause, 'Table') AS CHAR) \
                FROM information_schema.check_constraints NATURAL JOIN information_schema.table_constraints \
                WHERE table_schema = {of} AND table_name = {named}"
            ),
        };
        // Older servers have no such table, and no CHECK constraints either.
        let checks = self.query_batch(checks).await.unwrap_or_default();
        found.constraints.extend(checks.iter().flatten().filter_map(|row| check(row, table, &columns)));
        let triggers = self.query_batch(format!(
            "SELECT trigger_name FROM information_schema.triggers \
            WHERE event_object_schema = {of} AND event_object_table = {named} AND action_statement REGEXP {CHANGES} LIMIT 1"
        ));
        found.has_triggers = !triggers.await?.is_empty();
        Ok(found)
    }
}

/// Reads a row of the form `[name, expression, level]`.
fn check(row: &str, table: &str, columns: &[String]) -> Option<Constraint> {
    let (name, clause, level) = serde_json::from_str::<(String, String, String)>(row).ok()?;
    let columns = columns_in(Dialect::MySql, &clause, columns);
    // The CHECK of a column has no name on MariaDB. Messages identify it by the names of the table and the column.
    let (label, name) = match level.eq_ignore_ascii_case("column") {
        true => (format!("{table}.{name}"), None),
        false => (name.clone(), Some(name)),
    };
    Some(Constraint { kind: ViolationKind::Check, label, name, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_name_their_columns() {
        let columns = ["size", "name", "price"].map(str::to_owned);
        let table = [
            (
                r#"["ch 'k","\"size\" > 0 and octet_length(\"name\") < 10","Table"]"#,
                "ch 'k",
                Some("ch 'k"),
                "size name",
            ),
            (r#"["price","\"price\" > 0","Column"]"#, "t.price", None, "price"),
            (r#"["t_chk_1","(`price` > 0)","Table"]"#, "t_chk_1", Some("t_chk_1"), "price"),
        ];
        for (row, label, name, expected) in table {
            let found = check(row, "t", &columns).map(|it| (it.label, it.name, it.columns.join(" ")));
            assert_eq!(found, Some((label.to_owned(), name.map(str::to_owned), expected.to_owned())), "{row}");
        }
        assert_eq!(check("[]", "t", &columns), None);
    }
}
