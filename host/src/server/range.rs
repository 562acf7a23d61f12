//! Ranges of static files: decides which part of a file a request gets (RFC 9110, section 14).

use http::{HeaderMap, HeaderValue, header};

/// Part of a file that a response has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file: the request has no range, or one that the host ignores.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Bytes { first: u64, last: u64 },
    /// No byte of the file is in the range.
    Nothing,
}

/// Returns the part of a file that a GET request gets. `file` has the header fields of a response with the whole file:
/// its length and its validators.
///
/// The host ignores a range that is malformed or has a unit other than `bytes`. It also ignores several ranges: section
/// 14.2 allows this, and the client receives the whole file with status 200, which contains all ranges.
pub(super) fn select(request: &HeaderMap, file: &HeaderMap) -> Part {
    let mut ranges = request.get_all(header::RANGE).into_iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
    if !request.get_all(header::IF_RANGE).iter().all(|validator| is_current(validator, file)) {
        return Part::Whole;
    }
    let length = file.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let part = range.to_str().ok().zip(length).and_then(|(range, length)| part(range, length));
    part.unwrap_or(Part::Whole)
}

/// Returns whether a validator of `If-Range` is that of the file. A weak entity tag never matches.
fn is_current(validator: &HeaderValue, file: &HeaderMap) -> bool {
    let name = if validator.as_bytes().starts_with(b"\"") { header::ETAG } else { header::LAST_MODIFIED };
    file.get(name).is_some_and(|current| current == validator)
}

/// Returns the part of a file of `length` bytes for the value of a `Range` header, or `None` if the host ignores it.
fn part(range: &str, length: u64) -> Option<Part> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
    let (first, last) = match (first, last) {
        // The last bytes of the file.
        ("", suffix) => match number(suffix)? {
            0 => return Some(Part::Nothing),
            suffix => (length.saturating_sub(suffix), length.checked_sub(1)?),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if last < first {
        return None;
    }
    Some(if first < length { Part::Bytes { first, last: last.min(length - 1) } } else { Part::Nothing })
}

/// Parses a number. Returns `u64::MAX`, which is larger than any file, for a number that is too large for `u64`.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(first: u64, last: u64) -> Part {
        Part::Bytes { first, last }
    }

    #[test]
    fn ranges_of_a_file_of_ten_bytes() {
        for (range, expected) in [
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=2-5", bytes(2, 5)),
            ("bytes=002-05", bytes(2, 5)),
            ("BYTES=2-5", bytes(2, 5)),
            ("bytes=9-9", bytes(9, 9)),
            ("bytes=2-10", bytes(2, 9)),
            ("bytes=2-99999999999999999999999", bytes(2, 9)),
            ("bytes=2-", bytes(2, 9)),
            ("bytes=-3", bytes(7, 9)),
            ("bytes=-10", bytes(0, 9)),
            ("bytes=-11", bytes(0, 9)),
            ("bytes=-99999999999999999999999", bytes(0, 9)),
            ("bytes=10-", Part::Nothing),
            ("bytes=10-20", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-2", Part::Whole),
            ("bytes=20-10", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=1", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1-2-3", Part::Whole),
            ("bytes=--1", Part::Whole),
            ("bytes= 1-2", Part::Whole),
            ("bytes", Part::Whole),
            ("1-2", Part::Whole),
            ("items=0-5", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=0-1, -1", Part::Whole),
        ] {
            assert_eq!(part(range, 10).unwrap_or(Part::Whole), expected, "{range}");
        }
    }

    #[test]
    fn ranges_of_an_empty_file() {
        for (range, expected) in [
            ("bytes=0-", Part::Nothing),
            ("bytes=0-0", Part::Nothing),
            ("bytes=-1", Part::Whole),
            ("bytes=-0", Part::Nothing),
        ] {
            assert_eq!(part(range, 0).unwrap_or(Part::Whole), expected, "{range}");
        }
    }

    #[test]
    fn if_range_needs_the_current_strong_validator() {
        let modified = "Sat, 28 Nov 2026 10:00:00 GMT";
        let file = HeaderMap::from_iter([
            (header::CONTENT_LENGTH, HeaderValue::from_static("10")),
            (header::ETAG, HeaderValue::from_static("\"a\"")),
            (header::LAST_MODIFIED, HeaderValue::from_static(modified)),
        ]);
        for (validator, expected) in [
            ("\"a\"", bytes(1, 2)),
            (modified, bytes(1, 2)),
            ("\"b\"", Part::Whole),
            ("W/\"a\"", Part::Whole),
            ("\"a\", \"b\"", Part::Whole),
            ("Sat, 28 Nov 2026 10:00:01 GMT", Part::Whole),
            ("Sat, 28 Nov 2026 09:59:59 GMT", Part::Whole),
            ("a", Part::Whole),
            ("", Part::Whole),
        ] {
            let mut request = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=1-2"))]);
            request.extend(HeaderValue::from_str(validator).map(|validator| (header::IF_RANGE, validator)));
            assert_eq!(select(&request, &file), expected, "{validator}");
        }
        let mut validators = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=1-2"))]);
        for (validator, expected) in [("\"a\"", bytes(1, 2)), ("\"b\"", Part::Whole)] {
            validators.append(header::IF_RANGE, HeaderValue::from_static(validator));
            assert_eq!(select(&validators, &file), expected, "{validators:?}");
        }
        let mut twice = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=1-2"))]);
        twice.append(header::RANGE, HeaderValue::from_static("bytes=3-4"));
        assert_eq!(select(&twice, &file), Part::Whole);
        assert_eq!(select(&HeaderMap::new(), &file), Part::Whole);
    }
}
