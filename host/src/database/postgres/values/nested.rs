//! Formats values that contain values: arrays and ranges, each with its own rules for quotes.

use std::fmt::Write;

use super::wire::{Malformed, Wire};

/// Formats one of the inner values.
type Format<'a> = &'a dyn Fn(&[u8]) -> Result<String, Malformed>;

/// Maximum number of dimensions on the server.
const MAX_DIMENSIONS: i32 = 6;

/// Formats an array. The bytes contain the number of dimensions, whether there are NULLs, and the type of the elements;
/// then the size and the first index of each dimension; then the elements.
pub(super) fn array(wire: &mut Wire<'_>, element: Format<'_>) -> Result<String, Malformed> {
    let count = wire.i32()?;
    let (_has_null, _type) = (wire.i32()?, wire.u32()?);
    if !(0..=MAX_DIMENSIONS).contains(&count) {
        return Err(Malformed);
    }
    let mut sizes = Vec::new();
    let mut bounds = String::new();
    let mut shifted = false;
    for _ in 0..count {
        let (size, first) = (wire.i32()?, wire.i32()?);
        write!(bounds, "[{first}:{}]", i64::from(first) + i64::from(size) - 1).unwrap_or_default();
        shifted |= first != 1;
        sizes.push(usize::try_from(size).map_err(|_| Malformed)?);
    }
    if sizes.is_empty() || sizes.contains(&0) {
        return Ok("{}".to_owned());
    }
    let mut text = if shifted { bounds + "=" } else { String::new() };
    dimension(wire, element, &sizes, &mut text)?;
    Ok(text)
}

/// Formats a vector: the elements of an array with one dimension, separated by spaces.
pub(super) fn vector(wire: &mut Wire<'_>, element: Format<'_>) -> Result<String, Malformed> {
    let count = wire.i32()?;
    let (_has_null, _type) = (wire.i32()?, wire.u32()?);
    let size = match count {
        0 => 0,
        1 => (wire.i32()?, wire.i32()?).0,
        _ => return Err(Malformed),
    };
    let elements = (0..size).map(|_| element(wire.nested()?.ok_or(Malformed)?)).collect::<Result<Vec<_>, _>>()?;
    Ok(elements.join(" "))
}

/// Writes the elements of one dimension. If a size is larger than the data, reading fails at the end of the bytes.
fn dimension(wire: &mut Wire<'_>, element: Format<'_>, sizes: &[usize], text: &mut String) -> Result<(), Malformed> {
    let Some((size, inner)) = sizes.split_first() else {
        match wire.nested()? {
            None => text.push_str("NULL"),
            Some(bytes) => write_element(&element(bytes)?, text),
        }
        return Ok(());
    };
    text.push('{');
    for at in 0..*size {
        if at > 0 {
            text.push(',');
        }
        dimension(wire, element, inner, text)?;
    }
    text.push('}');
    Ok(())
}

fn write_element(element: &str, text: &mut String) {
    let special = |letter| matches!(letter, '"' | '\\' | '{' | '}' | ',') || is_space(letter);
    if !element.is_empty() && !element.eq_ignore_ascii_case("NULL") && !element.contains(special) {
        text.push_str(element);
        return;
    }
    text.push('"');
    for letter in element.chars() {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
}

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// Formats a range. The bytes contain flags for the bounds, and then the bounds.
pub(super) fn range(wire: &mut Wire<'_>, bound: Format<'_>) -> Result<String, Malformed> {
    let flags = wire.byte()?;
    let has = |flag| flags & flag != 0;
    if has(EMPTY) {
        return Ok("empty".to_owned());
    }
    let mut text = String::from(if has(LOWER_INCLUSIVE) { '[' } else { '(' });
    if !has(LOWER_INFINITE) {
        write_bound(&bound(wire.nested()?.ok_or(Malformed)?)?, &mut text);
    }
    text.push(',');
    if !has(UPPER_INFINITE) {
        write_bound(&bound(wire.nested()?.ok_or(Malformed)?)?, &mut text);
    }
    text.push(if has(UPPER_INCLUSIVE) { ']' } else { ')' });
    Ok(text)
}

fn write_bound(bound: &str, text: &mut String) {
    let special = |letter| matches!(letter, '"' | '\\' | '(' | ')' | '[' | ']' | ',') || is_space(letter);
    if !bound.is_empty() && !bound.contains(special) {
        text.push_str(bound);
        return;
    }
    text.push('"');
    for letter in bound.chars() {
        if matches!(letter, '"' | '\\') {
            text.push(letter);
        }
        text.push(letter);
    }
    text.push('"');
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{any, prop_oneof},
        proptest,
        strategy::{Just, Strategy},
    };

    use super::{super::form::Form, *};

    fn int4s(parts: &[i32]) -> Vec<u8> {
        parts.iter().flat_map(|part| part.to_be_bytes()).collect()
    }

    #[test]
    fn vectors_are_written() {
        let table = [
            (int4s(&[1, 0, 23, 2, 0, 4, 7, 4, -1]), Ok("7 -1")),
            (int4s(&[0, 0, 23]), Ok("")),
            (int4s(&[1, 0, 23, 0, 0]), Ok("")),
            (int4s(&[1, 1, 23, 1, 0, -1]), Err(Malformed)),
            (int4s(&[1, 0, 23, i32::MAX, 0, 4, 7]), Err(Malformed)),
            (int4s(&[2, 0, 23, 1, 0, 1, 0, 4, 1]), Err(Malformed)),
        ];
        for (bytes, expected) in table {
            assert_eq!(Form::Vector(Box::new(Form::Int4)).text(&bytes).as_deref(), expected.as_ref().map(|text| *text));
        }
    }

    #[test]
    fn arrays_are_written() {
        let table = [
            (int4s(&[0, 0, 23]), Ok("{}")),
            (int4s(&[1, 1, 23, 2, 1, 4, 7, -1]), Ok("{7,NULL}")),
            (int4s(&[2, 0, 23, 1, 0, 2, -3, 4, 1, 4, 2]), Ok("[0:0][-3:-2]={{1,2}}")),
            (int4s(&[1, 0, 23, i32::MAX, 1, 4, 7]), Err(Malformed)),
            (int4s(&[1, 0, 23, -1, 1]), Err(Malformed)),
            (int4s(&[7, 0, 23]), Err(Malformed)),
            (int4s(&[1, 0, 23, 1, 1, -2]), Err(Malformed)),
        ];
        for (bytes, expected) in table {
            assert_eq!(Form::Array(Box::new(Form::Int4)).text(&bytes).as_deref(), expected.as_ref().map(|text| *text));
        }
    }

    #[test]
    fn elements_and_bounds_are_quoted() {
        let table = [
            ("a", "a", "a"),
            ("", r#""""#, r#""""#),
            ("null", r#""null""#, "null"),
            (r#"a"\"#, r#""a\"\\""#, r#""a""\\""#),
            ("a b", r#""a b""#, r#""a b""#),
            ("(1)", "(1)", r#""(1)""#),
            ("{1}", r#""{1}""#, "{1}"),
        ];
        for (given, element, bound) in table {
            let (mut array, mut range) = (String::new(), String::new());
            write_element(given, &mut array);
            write_bound(given, &mut range);
            assert_eq!((array.as_str(), range.as_str()), (element, bound));
        }
    }

    fn form() -> impl Strategy<Value = Form> {
        use Form::*;
        let scalars = [
            Bool,
            Int2,
            Int4,
            Int8,
            Oid,
            Float4,
            Float8,
            Text,
            Char,
            Bytea,
            Void,
            Json,
            Xml,
            Versioned,
            Numeric,
            Uuid,
            Date,
            Time,
            Timetz,
            Timestamp,
            Timestamptz,
            Interval { infinite: true },
            Network,
            Macaddr,
            Bits,
            Xid,
            Xid8,
            Tid,
            Lsn,
        ];
        proptest::sample::select(scalars.to_vec()).prop_recursive(2, 4, 1, |inner| {
            prop_oneof![
                inner.clone().prop_map(|form| Array(Box::new(form))),
                inner.prop_map(|form| Range(Box::new(form))),
            ]
        })
    }

    /// Bytes that a broken server might send, most of them small numbers.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            vec(any::<u8>(), 0..20),
            (-3..20i32).prop_map(|number| number.to_be_bytes().to_vec()),
            (-3..20i16).prop_map(|number| number.to_be_bytes().to_vec()),
            any::<i64>().prop_map(|number| number.to_be_bytes().to_vec()),
            Just(vec![0x7f; 8]),
        ];
        vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 20_000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_bytes_cause_a_panic(form in form(), bytes in bytes()) {
            let _text = form.text(&bytes);
            let _value = super::super::value(&form, || "X", &bytes);
        }
    }
}
