//! Constraints of tables, as the catalogues of the engines describe them. Each engine reads its own catalogue.

use crate::sql::error::ViolationKind;

/// A constraint or a unique index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraint {
    pub(super) kind: ViolationKind,
    /// Text by which the messages of the engine identify the constraint among those of the same kind.
    pub(super) label: String,
    /// `None` if the constraint has no name of its own.
    pub(super) name: Option<String>,
    /// Columns in the order of the constraint. Parts of an index that are expressions are left out.
    pub(super) columns: Vec<String>,
}

/// Constraints of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) constraints: Vec<Constraint>,
    /// Whether the table has triggers that may change other tables. Known on MySQL only.
    pub(super) has_triggers: bool,
}

impl Table {
    /// Reads rows of the form `[kind, name, column]`, in the order of the constraint's columns. A constraint without
    /// columns has one row with `null`. Ignores other rows.
    pub(super) fn of_rows<'a>(rows: impl IntoIterator<Item = &'a String>) -> Self {
        let mut table = Self::default();
        for row in rows {
            let Ok((kind, name, column)) = serde_json::from_str::<(String, String, Option<String>)>(row) else {
                continue;
            };
            let Some(kind) = kind_of(&kind) else { continue };
            match table.constraints.last_mut().filter(|last| last.kind == kind && last.label == name) {
                Some(last) => last.columns.extend(column),
                None => {
                    let columns = column.into_iter().collect();
                    table.constraints.push(Constraint { kind, label: name.clone(), name: Some(name), columns });
                }
            }
        }
        table
    }

    /// Returns the constraint with a label. MySQL prefixes keys with the name of their table, and MariaDB does not.
    pub(super) fn find(&self, kind: ViolationKind, table: &str, label: &str) -> Option<&Constraint> {
        let same = |wanted: &str| {
            self.constraints.iter().find(|constraint| constraint.kind == kind && constraint.label == wanted)
        };
        same(label).or_else(|| same(label.strip_prefix(table)?.strip_prefix('.')?))
    }
}

fn kind_of(word: &str) -> Option<ViolationKind> {
    match word {
        "unique" => Some(ViolationKind::Unique),
        "foreign-key" => Some(ViolationKind::ForeignKey),
        "check" => Some(ViolationKind::Check),
        "exclusion" => Some(ViolationKind::Exclusion),
        _ => None,
    }
}

/// Returns an SQL literal, for sessions in which a backslash does not escape.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_constraints() {
        let rows = [
            r#"["unique","PRIMARY","id"]"#,
            r#"["unique","a.b","x"]"#,
            r#"["unique","a.b","y"]"#,
            r#"["check","a.b","z"]"#,
            r#"["unique","lower",null]"#,
            r#"["column","id"]"#,
            "no row",
        ]
        .map(str::to_owned);
        let table = Table::of_rows(&rows);
        let columns = |kind, label| table.find(kind, "t", label).map(|found| found.columns.join(" "));
        let cases = [
            (ViolationKind::Unique, "PRIMARY", Some("id")),
            (ViolationKind::Unique, "t.PRIMARY", Some("id")),
            (ViolationKind::Unique, "a.b", Some("x y")),
            (ViolationKind::Unique, "t.a.b", Some("x y")),
            (ViolationKind::Check, "a.b", Some("z")),
            (ViolationKind::Unique, "lower", Some("")),
            (ViolationKind::Check, "lower", None),
            (ViolationKind::Unique, "u.PRIMARY", None),
        ];
        for (kind, label, expected) in cases {
            assert_eq!(columns(kind, label).as_deref(), expected, "{label}");
        }
    }
}
