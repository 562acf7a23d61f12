//! Replacements for SQLite functions that could run for hours: SQLite interrupts a statement between its operations,
//! and one call is one operation. The replacements return the same results in linear time. They are functions on bytes
//! and do not use a connection.

use std::collections::HashSet;

use memchr::memmem;

/// Maximum length of a character, in bytes.
const MAX_CHARACTER: usize = 4;

/// Error for a result that is longer than the connection's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooBig;

/// `instr`: returns the position of the first occurrence of `pattern`, from 1, or 0 if there is none. Positions count
/// bytes in a blob and characters in a text.
pub(super) fn instr(text: &[u8], pattern: &[u8], is_text: bool) -> usize {
    let is_start = |byte: &u8| !is_text || byte & 0xc0 != 0x80;
    let found = match pattern.first() {
        None => return 1,
        // SQLite compares at index 0 and then only where a character starts. A pattern that is not UTF-8 may begin in
        // the middle of a character.
        Some(first) if !is_start(first) => text.starts_with(pattern).then_some(0),
        Some(_) => memmem::find(text, pattern),
    };
    match found {
        None => 0,
        Some(0) => 1,
        Some(index) => 2 + text[1..index].iter().filter(|byte| is_start(byte)).count(),
    }
}

/// `replace`: returns `text` with each occurrence of `pattern` replaced by `with`. Stops as soon as the result is
/// longer than `limit`.
pub(super) fn replace(text: &[u8], pattern: &[u8], with: &[u8], limit: usize) -> Result<Vec<u8>, TooBig> {
    if pattern.first().is_none_or(|byte| *byte == 0) {
        return Ok(text.to_vec());
    }
    let mut result = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in memmem::find_iter(text, pattern) {
        result.extend_from_slice(&text[from..at]);
        result.extend_from_slice(with);
        from = at + pattern.len();
        if result.len() > limit {
            return Err(TooBig);
        }
    }
    result.extend_from_slice(&text[from..]);
    Ok(result)
}

/// `trim`, `ltrim` and `rtrim`: returns `text` without the characters of `characters` at its left or right end.
pub(super) fn trim<'a>(mut text: &'a [u8], characters: &[u8], left: bool, right: bool) -> &'a [u8] {
    let set: HashSet<&[u8]> = characters_of(characters).collect();
    let lengths = |text: &[u8]| 1..=text.len().min(MAX_CHARACTER);
    while left && let Some(length) = lengths(text).find(|length| set.contains(&text[..*length])) {
        text = &text[length..];
    }
    while right && let Some(length) = lengths(text).find(|length| set.contains(&text[text.len() - length..])) {
        text = &text[..text.len() - length];
    }
    text
}

/// Returns the characters of `text` up to its first NUL byte, divided as SQLite divides them.
fn characters_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let mut rest = &text[..end];
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let more = rest[1..].iter().take_while(|byte| first >= 0xc0 && **byte & 0xc0 == 0x80).count();
        let (character, after) = rest.split_at(1 + more);
        rest = after;
        Some(character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that each call of a table returns the same result as in SQLite, and lists all calls that do not.
    fn assert_rows<T: PartialEq + std::fmt::Debug>(rows: impl IntoIterator<Item = (String, T, T)>) {
        let wrong = rows.into_iter().filter(|(_, found, expected)| found != expected);
        let wrong: Vec<_> =
            wrong.map(|(call, found, expected)| format!("{call}: {found:?}, not {expected:?}")).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn instr_counts_as_sqlite_does() {
        let table: [(&[u8], &[u8], bool, usize); 17] = [
            (b"abc", b"c", true, 3),
            ("éàc".as_bytes(), b"c", true, 3),
            ("éàc".as_bytes(), b"c", false, 5),
            ("éà".as_bytes(), "à".as_bytes(), true, 2),
            (b"aab", b"ab", true, 2),
            (b"ab", b"ab", true, 1),
            (b"", b"a", true, 0),
            (b"a", b"", true, 1),
            (b"", b"", true, 1),
            (b"a", b"ab", true, 0),
            (b"abab", b"ba", false, 2),
            // Texts that are not UTF-8: a match inside of a character counts only at the start of the text.
            ("é".as_bytes(), b"\xa9", true, 0),
            ("é".as_bytes(), b"\xa9", false, 2),
            (b"\xa9a", b"\xa9", true, 1),
            (b"\xa9a", b"a", true, 2),
            (b"\xa9\xa9a", b"a", true, 2),
            (b"a\xa9\xa9", b"\xa9", true, 0),
        ];
        assert_rows(table.map(|(text, pattern, is_text, expected)| {
            (format!("instr({text:x?}, {pattern:x?}, {is_text})"), instr(text, pattern, is_text), expected)
        }));
    }

    #[test]
    fn replace_returns_what_sqlite_returns() {
        let table = [
            ("abab", "b", "xy", "axyaxy"),
            ("aaa", "aa", "b", "ba"),
            ("abc", "", "x", "abc"),
            ("abc", "\0", "x", "abc"),
            ("abc", "abcd", "x", "abc"),
            ("éé", "é", "e", "ee"),
            ("aba", "a", "", "b"),
        ];
        assert_rows(table.map(|(text, pattern, with, expected)| {
            let found = replace(text.as_bytes(), pattern.as_bytes(), with.as_bytes(), 9);
            (format!("replace({text:?}, {pattern:?}, {with:?})"), found, Ok(expected.as_bytes().to_vec()))
        }));
    }

    #[test]
    fn trim_returns_what_sqlite_returns() {
        let table = [
            ("xyaxbyx", "yx", true, true, "axb"),
            ("xax", "x", true, false, "ax"),
            ("xax", "x", false, true, "xa"),
            ("éaé", "é", true, true, "a"),
            ("aaa", "a", true, true, ""),
            ("abc", "", true, true, "abc"),
        ];
        assert_rows(table.map(|(text, characters, left, right, expected)| {
            let found = trim(text.as_bytes(), characters.as_bytes(), left, right);
            (format!("trim({text:?}, {characters:?}, {left}, {right})"), found, expected.as_bytes())
        }));
    }

    /// Each of these calls needs 10^12 comparisons of bytes if the search is quadratic.
    #[test]
    fn long_searches_take_linear_time() {
        let text = vec![b'a'; 2 << 20];
        let near_end = [&text[1 << 20..], b"b"].concat();
        let near_start = [b"b", &text[1 << 20..]].concat();
        let inside = vec![0xa9; 1 << 20];
        for is_text in [true, false] {
            assert_eq!(instr(&text, &text, is_text), 1);
            assert_eq!(instr(&text, &near_end, is_text), 0);
            assert_eq!(instr(&text, &near_start, is_text), 0);
            assert_eq!(instr(&[&text, &*near_end].concat(), &near_end, is_text), (2 << 20) + 1);
            assert_eq!(instr(&[b"a", &*inside, &inside].concat(), &inside, is_text), if is_text { 0 } else { 2 });
        }
        assert_eq!(replace(&text, &near_end, b"", 4 << 20).as_ref(), Ok(&text));
        assert_eq!(replace(&text, &near_start, b"", 4 << 20).as_ref(), Ok(&text));
        assert_eq!(replace(&text, &text[1 << 20..], b"x", 4 << 20), Ok(b"xx".to_vec()));
        let many: String = (' '..'\u{ffff}').collect();
        assert_eq!(trim(many.as_bytes(), many.as_bytes(), true, true), b"");
    }

    #[test]
    fn the_length_of_a_replacement_is_limited() {
        let text = vec![b'a'; 2 << 20];
        assert_eq!(replace(&text, b"a", b"bb", 4 << 20).map(|text| text.len()), Ok(4 << 20));
        assert_eq!(replace(&text, b"a", b"bbb", 4 << 20), Err(TooBig));
    }
}
