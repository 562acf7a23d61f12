//! Escapes control characters in records. Otherwise a text of a guest or client could begin a line, change what a
//! terminal shows, or reorder the text around it.

use std::{
    fmt::{self, Debug, Write as _},
    io,
};

use tracing::{Metadata, field::Field};
use tracing_subscriber::fmt::{MakeWriter, format::Writer};

/// Returns whether a character must be escaped: control characters, line and paragraph separators, and the controls of
/// bidirectional text.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Writes text with escaped control characters, such as `\n` and `\u{1b}`.
struct Escaped<W>(W);

impl<W: fmt::Write> fmt::Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most texts need no escapes. Checking their bytes is faster than decoding their characters.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        match is_control(character) {
            true => write!(self.0, "{}", character.escape_default()),
            false => self.0.write_char(character),
        }
    }
}

/// Writes a field of a record in the text format, and a space before it unless it is the message.
pub(super) fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        // Origin of a record of the crate `log`.
        name if name.starts_with("log.") => return Ok(()),
        name if writer.has_ansi_escapes() => write!(writer, " \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        name => write!(writer, " {name}=")?,
    }
    write!(Escaped(writer), "{value:?}")
}

/// Escapes control characters in a text of several lines for a terminal. Line feeds remain.
pub(crate) fn printable(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut escaped = String::with_capacity(line.len());
        let _ = Escaped(&mut escaped).write_str(line);
        lines.push(escaped);
    }
    lines.join("\n")
}

/// Writes lines of JSON, and escapes the control characters that JSON permits in strings.
pub(super) struct JsonWriter<W>(pub(super) W);

impl<W: io::Write> io::Write for JsonWriter<W> {
    /// `line` is a complete line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.is_ascii() && !line.contains(&b'\x7f') {
            self.0.write_all(line)?;
        } else {
            let mut escaped = String::with_capacity(line.len() + 64);
            for character in String::from_utf8_lossy(line).chars() {
                match is_control(character) && character != '\n' {
                    // All of these characters have at most four digits.
                    true => _ = write!(escaped, "\\u{:04x}", u32::from(character)),
                    false => escaped.push(character),
                }
            }
            self.0.write_all(escaped.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for JsonWriter<M> {
    type Writer = JsonWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        JsonWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        JsonWriter(self.0.make_writer_for(metadata))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt, layer::SubscriberExt};

    use super::*;

    /// A text, and its form in each format.
    const TABLE: [(&str, &str, &str); 9] = [
        ("plain \"text\" \\n", "plain \"text\" \\n", "plain \"text\" \\n"),
        ("Grüße, 世界 👋", "Grüße, 世界 👋", "Grüße, 世界 👋"),
        ("e\u{301}", "e\u{301}", "e\u{301}"),
        ("\x7f", "\\u{7f}", "\\u007f"),
        ("a\u{85}b", "a\\u{85}b", "a\\u0085b"),
        ("\u{9b}31m", "\\u{9b}31m", "\\u009b31m"),
        ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}", "\\u2028\\u2029"),
        ("\u{202e}\u{2066}\u{200f}", "\\u{202e}\\u{2066}\\u{200f}", "\\u202e\\u2066\\u200f"),
        ("é\u{2028}", "é\\u{2028}", "é\\u2028"),
    ];

    #[test]
    fn control_characters_are_escaped() {
        for (text, as_text, as_json) in TABLE {
            let mut escaped = String::new();
            assert!(write!(Escaped(&mut escaped), "{text}").is_ok());
            assert_eq!(escaped, as_text);
            let mut written = Vec::new();
            let line = format!("{text}\n");
            assert_eq!(JsonWriter(&mut written).write(line.as_bytes()).ok(), Some(line.len()));
            assert_eq!(String::from_utf8_lossy(&written), format!("{as_json}\n"));
        }
        let mut escaped = String::new();
        assert!(write!(Escaped(&mut escaped), "a\nb\r\t\0\x1b[2Jc\n").is_ok());
        assert_eq!(escaped, "a\\nb\\r\\t\\u{0}\\u{1b}[2Jc\\n");
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics here").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_of_the_text_format_are_escaped_on_terminals_too() {
        let table = [
            (false, " INFO guest: a\\nb text=\"c\\n\" error=d\\u{1b}[2J number=1\n"),
            (
                true,
                "\x1b[32m INFO\x1b[0m \x1b[2mguest\x1b[0m\x1b[2m:\x1b[0m a\\nb \x1b[3mtext\x1b[0m\x1b[2m=\x1b[0m\"c\\n\" \
                 \x1b[3merror\x1b[0m\x1b[2m=\x1b[0md\\u{1b}[2J \x1b[3mnumber\x1b[0m\x1b[2m=\x1b[0m1\n",
            ),
        ];
        for (colours, expected) in table {
            let (buffer, fields) = (Buffer::default(), fmt::format::debug_fn(write_field));
            let writer = buffer.clone();
            let layer = fmt::layer().fmt_fields(fields).without_time().with_ansi(colours);
            let log = tracing_subscriber::registry().with(layer.with_writer(move || writer.clone()));
            tracing::subscriber::with_default(log, || {
                tracing::info!(target: "guest", text = "c\n", error = %"d\x1b[2J", number = 1, "{}", "a\nb");
            });
            assert_eq!(String::from_utf8_lossy(&buffer.0.lock().expect("no test panics here")), expected);
        }
    }

    #[test]
    fn printable_text_keeps_its_lines() {
        assert_eq!(printable("one\ntwo\x1b[2J\r\n"), "one\ntwo\\u{1b}[2J\\r\n");
    }
}
