//! Checks names of types before they are inserted into the text of a statement. Only their grammar is checked, not
//! whether the types exist.

/// Maximum length of a name, in bytes. A name with a schema, quotes and brackets is shorter.
const MAX_BYTES: usize = 300;

/// Types with names of two words.
const TWO_WORDS: [&str; 3] = ["double precision", "character varying", "bit varying"];

/// Returns the name to write in a cast, or `None` if the text is not a type name. Replaces some names of the driver and
/// of other engines by PostgreSQL's name for the same type.
pub(super) fn for_cast(type_name: &str) -> Option<String> {
    let (name, dimensions) = split_dimensions(type_name).filter(|_| type_name.len() <= MAX_BYTES)?;
    // `char` and `bit` would cut values to a length of 1. The driver's name for the type `"char"` is `"CHAR"`.
    let name = match name.to_ascii_uppercase().as_str() {
        "CHAR" => "bpchar",
        "BIT" => "\"bit\"",
        "\"CHAR\"" if name == "\"CHAR\"" => "\"char\"",
        "DATETIME" => "timestamp",
        "BIGINT UNSIGNED" => "numeric",
        _ if is_name(name) => name,
        _ => return None,
    };
    Some(format!("{name}{dimensions}"))
}

/// Splits a type name into the name and the brackets after it.
fn split_dimensions(type_name: &str) -> Option<(&str, &str)> {
    let mut name = type_name;
    while let Some(rest) = name.strip_suffix(']') {
        name = rest.trim_end_matches(|letter: char| letter.is_ascii_digit()).strip_suffix('[')?;
    }
    Some((name, &type_name[name.len()..]))
}

/// Returns whether the text is a name such as `numeric(5,2)`, `public."Mood"` or `timestamp(3) with time zone`.
fn is_name(name: &str) -> bool {
    let (name, zoned) = match [" with time zone", " without time zone"].iter().find_map(|end| strip_end(name, end)) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let Some(name) = without_modifier(name) else { return false };
    if zoned {
        return ["time", "timestamp"].iter().any(|known| name.eq_ignore_ascii_case(known));
    }
    TWO_WORDS.iter().any(|known| name.eq_ignore_ascii_case(known)) || is_path(name)
}

fn strip_end<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    let (front, back) = name.split_at_checked(name.len().checked_sub(end.len())?)?;
    back.eq_ignore_ascii_case(end).then_some(front)
}

/// Returns the name without a modifier such as `(5,2)`. Returns `None` if the parentheses do not contain one or two
/// numbers.
fn without_modifier(name: &str) -> Option<&str> {
    let Some(front) = name.strip_suffix(')') else { return Some(name) };
    let (name, numbers) = front.rsplit_once('(')?;
    let is_number = |number: &str| (1..10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbers.split(',').count() <= 2 && numbers.split(',').map(str::trim).all(is_number)).then_some(name)
}

/// Returns whether the text is a name with at most a database and a schema before it, separated by dots. Each part is
/// plain or quoted.
fn is_path(mut path: &str) -> bool {
    for _ in 0..3 {
        let length = match path.strip_prefix('"') {
            Some(quoted) => quoted_length(quoted),
            None => plain_length(path),
        };
        let Some(rest) = length.and_then(|length| path.get(length..)) else { return false };
        if rest.is_empty() {
            return true;
        }
        let Some(next) = rest.strip_prefix('.') else { return false };
        path = next;
    }
    false
}

/// Returns the length of the plain name at the start of the text.
fn plain_length(path: &str) -> Option<usize> {
    let length = path.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    (length > 0 && !path.as_bytes()[0].is_ascii_digit()).then_some(length)
}

/// Returns the length of a quoted name with both quotes. `quoted` is the text after the first quote; a doubled quote
/// stands for one quote.
fn quoted_length(quoted: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + quoted.get(at..)?.find('"')?;
        match quoted.as_bytes().get(end + 1) {
            Some(b'"') => at = end + 2,
            _ if end == 0 || quoted[..end].contains('\0') => return None,
            _ => return Some(end + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_pass_and_nothing_else_does() {
        let table = [
            ("NUMERIC", Some("NUMERIC")),
            ("numeric(10, 2)", Some("numeric(10, 2)")),
            ("INT4[]", Some("INT4[]")),
            ("INT4[3][]", Some("INT4[3][]")),
            ("\"Mood\"", Some("\"Mood\"")),
            ("a.\"we\"\"i.rd é\"[]", Some("a.\"we\"\"i.rd é\"[]")),
            ("TIMESTAMP(3) WITH TIME ZONE", Some("TIMESTAMP(3) WITH TIME ZONE")),
            ("time without time zone", Some("time without time zone")),
            ("character varying(20)[]", Some("character varying(20)[]")),
            ("double precision", Some("double precision")),
            ("CHAR", Some("bpchar")),
            ("CHAR[]", Some("bpchar[]")),
            ("CHAR(3)", Some("CHAR(3)")),
            ("BIT", Some("\"bit\"")),
            ("\"CHAR\"[]", Some("\"char\"[]")),
            ("\"char\"", Some("\"char\"")),
            ("DATETIME", Some("timestamp")),
            ("bigint unsigned", Some("numeric")),
            ("", None),
            ("[]", None),
            ("1a", None),
            ("int4 OR true", None),
            ("int4)", None),
            ("int4); DROP TABLE t; --", None),
            ("int4--", None),
            ("int4/**/", None),
            ("int4;", None),
            ("int4(1,2,3)", None),
            ("int4()", None),
            ("int4(a)", None),
            ("int4(1)(2)", None),
            ("int4]", None),
            ("int4[-1]", None),
            ("int4 []", None),
            (" int4", None),
            ("a.", None),
            (".a", None),
            ("a..b", None),
            ("a.b.c.d", None),
            ("\"", None),
            ("\"\"", None),
            ("\"a", None),
            ("\"a\"\"", None),
            ("\"a\"b", None),
            ("\"a\" b", None),
            ("\"a\0\"", None),
            ("größe", None),
            ("U&\"a\"", None),
            ("date with time zone", None),
            ("x'1'", None),
            ("$1", None),
        ];
        for (name, expected) in table {
            assert_eq!(for_cast(name).as_deref(), expected, "{name}");
        }
    }
}
