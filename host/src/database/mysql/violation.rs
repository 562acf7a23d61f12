//! Reads violated constraints from the messages of MySQL and MariaDB, which have no fields for them. A message contains
//! names, and may contain values that imitate the words of a message.

use crate::sql::error::{Violation, ViolationKind};

/// Returns the violated constraint, as far as the message names it, or `None` if the error is no violation. The name
/// may still have the prefix of its table, which MySQL adds to keys, and MariaDB to the CHECK of a column.
pub(super) fn reported(number: u16, state: &str, message: &str) -> Option<Violation> {
    let (kind, read): (_, fn(&str) -> Option<Violation>) = match number {
        1062 | 1586 | 1859 => (ViolationKind::Unique, duplicate_key),
        1022 | 1169 => (ViolationKind::Unique, duplicate_in_table),
        1761 => (ViolationKind::Unique, duplicate_by_cascade),
        1557 | 1762 => (ViolationKind::Unique, |_| None),
        1216 | 1217 | 1451 | 1452 => (ViolationKind::ForeignKey, foreign_key),
        1048 | 1364 => (ViolationKind::NotNull, column),
        1263 => (ViolationKind::NotNull, column_at_row),
        3819 => (ViolationKind::Check, check),
        4025 if state == "23000" => (ViolationKind::Check, check_in_table),
        _ => return None,
    };
    Some(read(message).unwrap_or_else(|| Violation::new(kind)))
}

/// `Duplicate entry '1-a' for key 'k'`. The entry comes from a client, so the key is after the last `for key`.
fn duplicate_key(message: &str) -> Option<Violation> {
    let (_, key) = message.rsplit_once(" for key '")?;
    let name = Some(key.strip_suffix('\'')?.to_owned());
    Some(Violation { name, ..Violation::new(ViolationKind::Unique) })
}

/// `Can't write; duplicate key in table 't'`, `Can't write, because of unique constraint, to table 't'`.
fn duplicate_in_table(message: &str) -> Option<Violation> {
    let (_, table) = message.split_once(" table '")?;
    let table = Some(table.strip_suffix('\'')?.to_owned());
    Some(Violation { table, ..Violation::new(ViolationKind::Unique) })
}

/// `Foreign key constraint for table 't', record 'r' would lead to a duplicate entry in table 'c', key 'k'`.
fn duplicate_by_cascade(message: &str) -> Option<Violation> {
    let (_, rest) = message.rsplit_once("' would lead to a duplicate entry in table '")?;
    let (table, key) = rest.strip_suffix('\'')?.rsplit_once("', key '")?;
    let (name, table) = (Some(key.to_owned()), Some(table.to_owned()));
    Some(Violation { name, table, ..Violation::new(ViolationKind::Unique) })
}

/// `Cannot add or update a child row: a foreign key constraint fails ("d"."t", CONSTRAINT "k" FOREIGN KEY ("a", "b")
/// REFERENCES ..)`. Logins with few rights receive the message without the part in parentheses.
fn foreign_key(message: &str) -> Option<Violation> {
    let (_, rest) = message.split_once(" (")?;
    let (schema, rest) = name(rest)?;
    let (table, rest) = name(rest.strip_prefix('.')?)?;
    let (key, rest) = name(rest.strip_prefix(", CONSTRAINT ")?)?;
    let columns = names(rest.strip_prefix(" FOREIGN KEY (")?)?;
    let kind = ViolationKind::ForeignKey;
    Some(Violation { kind, name: Some(key), schema: Some(schema), table: Some(table), columns })
}

/// `Column 'a' cannot be null`, `Field 'a' doesn't have a default value`.
fn column(message: &str) -> Option<Violation> {
    let (_, rest) = message.split_once('\'')?;
    let (column, _) = rest.rsplit_once("' cannot be null").or_else(|| rest.rsplit_once("' doesn't have"))?;
    Some(Violation { columns: vec![column.to_owned()], ..Violation::new(ViolationKind::NotNull) })
}

/// `Column set to default value; NULL supplied to NOT NULL column 'a' at row 1`.
fn column_at_row(message: &str) -> Option<Violation> {
    let (_, rest) = message.split_once('\'')?;
    let (column, _) = rest.rsplit_once("' at row ")?;
    Some(Violation { columns: vec![column.to_owned()], ..Violation::new(ViolationKind::NotNull) })
}

/// `Check constraint 'c' is violated.`
fn check(message: &str) -> Option<Violation> {
    let (_, rest) = message.split_once('\'')?;
    let (name, _) = rest.rsplit_once("' is violated")?;
    Some(Violation { name: Some(name.to_owned()), ..Violation::new(ViolationKind::Check) })
}

/// ``CONSTRAINT `c` failed for `d`.`t` ``.
fn check_in_table(message: &str) -> Option<Violation> {
    let (check, rest) = name(message.strip_prefix("CONSTRAINT ")?)?;
    let (schema, rest) = name(rest.strip_prefix(" failed for ")?)?;
    let (table, _) = name(rest.strip_prefix('.')?)?;
    let (schema, table) = (Some(schema), Some(table));
    Some(Violation { name: Some(check), schema, table, ..Violation::new(ViolationKind::Check) })
}

/// Reads a list of names up to its closing parenthesis.
fn names(mut text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    loop {
        let (next, rest) = name(text)?;
        names.push(next);
        if rest.starts_with(')') {
            return Some(names);
        }
        text = rest.strip_prefix(", ")?;
    }
}

/// Reads a name in quotes, in which a doubled quote stands for one quote. Returns the name and the rest of the text.
/// The `sql_mode` of the session and the version of the server determine which quotes the server uses.
fn name(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '`'))?;
    let (mut name, mut rest) = (String::new(), text.char_indices().skip(1).peekable());
    while let Some((at, letter)) = rest.next() {
        if letter == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return Some((name, &text[at + 1..]));
        }
        name.push(letter);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the kind, the table with its database, the name and the columns in one text.
    fn read(number: u16, state: &str, message: &str) -> Option<String> {
        let Violation { kind, name, schema, table, columns } = reported(number, state, message)?;
        let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        Some(format!("{kind:?} {}/{} {} [{}]", part(schema), part(table), part(name), columns.join("|")))
    }

    #[test]
    fn messages_name_constraints() {
        let child = "Cannot add or update a child row: a foreign key constraint fails";
        let parent = "Cannot delete or update a parent row: a foreign key constraint fails";
        let table = [
            (1062, "Duplicate entry '1-a' for key 'name'", "Unique -/- name []"),
            (1062, "Duplicate entry '' for key 'items.PRIMARY'", "Unique -/- items.PRIMARY []"),
            (1062, "Duplicate entry 'a' for key 'b' for key 'it's.k\"'", "Unique -/- it's.k\" []"),
            (1062, "Duplicate entry 'a' for key 'PRIMARY", "Unique -/- - []"),
            (1586, "Duplicate entry 'x' for key 'k'", "Unique -/- k []"),
            (1859, "Duplicate entry for key 'k'", "Unique -/- k []"),
            (1022, "Can't write; duplicate key in table 't'", "Unique -/t - []"),
            (1169, "Can't write, because of unique constraint, to table 't'", "Unique -/t - []"),
            (
                1761,
                "Foreign key constraint for table 'p', record 'x' would lead to a duplicate entry in table 'c', key 'k'",
                "Unique -/c k []",
            ),
            (1762, "Foreign key constraint for table 'p', record 'x' ..", "Unique -/- - []"),
            (
                1452,
                &format!("{child} (`d`.`t`, CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`id`))"),
                "ForeignKey d/t f [a]",
            ),
            (
                1452,
                &format!(
                    "{child} (\"d\".\"t .\"\"x\", CONSTRAINT \"f '\" FOREIGN KEY (\"a\", \"b, c\") REFERENCES \"p\" (\"x\", \"y\"))"
                ),
                "ForeignKey d/t .\"x f ' [a|b, c]",
            ),
            (
                1451,
                &format!(
                    "{parent} (`d`.`t``(`, CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE RESTRICT)"
                ),
                "ForeignKey d/t`( f [a]",
            ),
            (1451, &format!("{parent} (`d`.`t`, CONSTRAINT `f"), "ForeignKey -/- - []"),
            (1217, parent, "ForeignKey -/- - []"),
            (1048, "Column 'it's' cannot be null", "NotNull -/- - [it's]"),
            (1364, "Field 'a' doesn't have a default value", "NotNull -/- - [a]"),
            (1263, "Column set to default value; NULL supplied to NOT NULL column 'a' at row 1", "NotNull -/- - [a]"),
            (3819, "Check constraint 'it's' is violated.", "Check -/- it's []"),
            (4025, "CONSTRAINT `c ``d` failed for `db`.`t.u`", "Check db/t.u c `d []"),
            (4025, "CONSTRAINT `t.price` failed for `db`.`t`", "Check db/t t.price []"),
        ];
        for (number, message, expected) in table {
            assert_eq!(read(number, "23000", message).as_deref(), Some(expected), "{number} {message}");
        }
        assert_eq!(read(4025, "HY000", "InnoDB: invalid AUTOEXTEND_SIZE"), None);
        assert_eq!(read(1369, "HY000", "CHECK OPTION failed 'd.v'"), None);
    }

    proptest! {
        #[test]
        fn an_entry_never_hides_the_key(entry in ".{0,40}") {
            let message = format!("Duplicate entry '{entry}' for key 'k'");
            let found = read(1062, "23000", &message);
            prop_assert_eq!(found.as_deref(), Some("Unique -/- k []"));
        }

        #[test]
        fn quoted_names_are_read_back(plain in ".{0,20}", rest in "[^`]{0,5}") {
            let quoted = format!("`{}`{rest}", plain.replace('`', "``"));
            prop_assert_eq!(name(&quoted), Some((plain, &*rest)));
        }
    }
}
