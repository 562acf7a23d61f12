//! Excerpts of texts that the host did not write, such as messages of guests and statements, for lines of the log.

use super::CUT;

/// Returns the beginning of a text, with at most `max` bytes and a mark if the text is longer. Replaces line breaks and
/// other white space by single spaces, because the excerpt is part of one line.
pub(crate) fn excerpt(text: &str, max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max));
    for word in text.split_whitespace() {
        let separator = if line.is_empty() { "" } else { " " };
        let room = max.saturating_sub(line.len() + separator.len());
        let part = &word[..word.floor_char_boundary(room)];
        if !part.is_empty() {
            line.extend([separator, part]);
        }
        if part.len() < word.len() {
            line.push_str(CUT);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn excerpts_are_one_short_line() {
        let table = [
            ("", ""),
            (" \n", ""),
            ("SELECT 1", "SELECT 1"),
            ("SELECT *\n    FROM\titems\r\n", "SELECT * FROM items"),
            ("0123456789 12345678", "0123456789 12345678"),
            ("0123456789 1234567890", "0123456789 123456789 [cut]"),
            ("01234567890123456789 a", "01234567890123456789 [cut]"),
            ("ééééééééééé", "éééééééééé [cut]"),
            ("aééééééééééé", "aééééééééé [cut]"),
        ];
        for (text, expected) in table {
            assert_eq!(excerpt(text, 20), expected, "{text:?}");
        }
    }
}
