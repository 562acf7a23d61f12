//! Functions in place of SQLite's own that could take hours: SQLite stops a statement between its operations, and one
//! call is one operation. These give the same results at a cost that is bounded. Knows bytes; knows no connection.

use std::collections::HashSet;

/// The most comparisons of bytes that one search may take, if all goes badly: a second or less.
const MOST: u64 = 10_000_000_000;
/// The longest character, in bytes.
const LONGEST: usize = 4;

/// Why a function gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It could take too long.
    Costly,
    /// The result would be longer than the connection's limit.
    TooBig,
}

/// Where a search may have to look at every byte of the one for each byte of the other.
fn affordable(text: &[u8], pattern: &[u8]) -> Result<(), Refusal> {
    match text.len() as u64 * pattern.len() as u64 > MOST {
        true => Err(Refusal::Costly),
        false => Ok(()),
    }
}

/// The index of the first occurrence from `start` on.
fn find(text: &[u8], pattern: &[u8], mut start: usize) -> Option<usize> {
    let first = *pattern.first()?;
    loop {
        start += text.get(start..)?.iter().position(|byte| *byte == first)?;
        let end = start.checked_add(pattern.len())?;
        if text.get(start..end)? == pattern {
            return Some(start);
        }
        start += 1;
    }
}

/// `instr`: the place of the first occurrence, from 1, counted in bytes of blobs and in characters of texts; else 0.
pub(super) fn instr(text: &[u8], pattern: &[u8], is_text: bool) -> Result<usize, Refusal> {
    if pattern.is_empty() {
        return Ok(1);
    }
    affordable(text, pattern)?;
    let is_start = |byte: &u8| !is_text || byte & 0xc0 != 0x80;
    let mut at = find(text, pattern, 0);
    // Only a text that is no UTF-8 has it in the middle of a character.
    while let Some(index) = at.filter(|index| *index > 0 && !is_start(&text[*index])) {
        at = find(text, pattern, index + 1);
    }
    Ok(at.map_or(0, |index| 1 + text[..index].iter().enumerate().filter(|(i, byte)| *i == 0 || is_start(byte)).count()))
}

/// `replace`. A result that is longer than `limit` is refused before it is made.
pub(super) fn replace(text: &[u8], pattern: &[u8], with: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    if pattern.first().is_none_or(|byte| *byte == 0) {
        return Ok(text.to_vec());
    }
    affordable(text, pattern)?;
    let mut result = Vec::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = find(text, pattern, from) {
        result.extend_from_slice(&text[from..at]);
        result.extend_from_slice(with);
        from = at + pattern.len();
        if result.len() > limit {
            return Err(Refusal::TooBig);
        }
    }
    result.extend_from_slice(&text[from..]);
    Ok(result)
}

/// `trim`, `ltrim` and `rtrim`: the text without those of the characters that stand at its ends.
pub(super) fn trim<'a>(mut text: &'a [u8], characters: &[u8], left: bool, right: bool) -> &'a [u8] {
    let set: HashSet<&[u8]> = characters_of(characters).collect();
    let lengths = |text: &[u8]| 1..=text.len().min(LONGEST);
    while left && let Some(length) = lengths(text).find(|length| set.contains(&text[..*length])) {
        text = &text[length..];
    }
    while right && let Some(length) = lengths(text).find(|length| set.contains(&text[text.len() - length..])) {
        text = &text[..text.len() - length];
    }
    text
}

/// The characters of a text up to its first NUL, as SQLite parts them.
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

    #[test]
    fn results_are_those_of_sqlite() {
        for (text, pattern, is_text, at) in [
            ("abc", "c", true, 3),
            ("éàc", "c", true, 3),
            ("éàc", "c", false, 5),
            ("éà", "à", true, 2),
            ("aab", "ab", true, 2),
            ("", "a", true, 0),
            ("a", "", true, 1),
            ("a", "ab", true, 0),
        ] {
            assert_eq!(instr(text.as_bytes(), pattern.as_bytes(), is_text), Ok(at), "{text} {pattern}");
        }
        for (text, pattern, with, result) in [
            ("abab", "b", "xy", "axyaxy"),
            ("aaa", "aa", "b", "ba"),
            ("abc", "", "x", "abc"),
            ("abc", "abcd", "x", "abc"),
        ] {
            assert_eq!(replace(text.as_bytes(), pattern.as_bytes(), with.as_bytes(), 9), Ok(result.into()), "{text}");
        }
        for (text, characters, left, right, result) in [
            ("xyaxbyx", "yx", true, true, "axb"),
            ("xax", "x", true, false, "ax"),
            ("xax", "x", false, true, "xa"),
            ("éaé", "é", true, true, "a"),
            ("aaa", "a", true, true, ""),
            ("abc", "", true, true, "abc"),
        ] {
            assert_eq!(trim(text.as_bytes(), characters.as_bytes(), left, right), result.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_search_that_could_take_hours_is_refused() {
        let long = vec![b'a'; 2 << 20];
        assert_eq!(instr(&long, &long, true), Err(Refusal::Costly));
        assert_eq!(replace(&long, &long, b"", 9), Err(Refusal::Costly));
        assert_eq!(instr(&long, b"aab", true), Ok(0));
        assert_eq!(replace(&long, b"a", b"bb", 4 << 20).map(|text| text.len()), Ok(4 << 20));
        assert_eq!(replace(&long, b"a", b"bbb", 4 << 20), Err(Refusal::TooBig));
        let many: String = (' '..'\u{ffff}').collect();
        assert_eq!(trim(many.as_bytes(), many.as_bytes(), true, true), b"");
    }
}
