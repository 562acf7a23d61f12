//! Finds HTTP/1 requests with a `#` in the target. A target has no fragment (RFC 9112, section 3.2), but `http::Uri`
//! drops it, so the bytes from the client are searched.
//!
//! hyper does not report where the head of a pipelined request begins. A line that ends like a request line may belong to
//! a body, so it counts only for a request with the same target. Such a line is not found if it arrives in two pieces.

use std::{
    borrow::Cow,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use http::Uri;
use memchr::{memchr, memrchr};

/// Results of the search in the request lines of a connection, for its next requests.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// Whether the target of the next request is known to have no `#`.
    is_clean: AtomicBool,
    /// Hash of the target of the first request line with a `#`, or 0.
    found: AtomicU64,
}

impl Fragments {
    /// Returns whether the target of a request contains a `#`. To be called once for each request.
    pub(super) fn take(&self, target: &Uri) -> bool {
        if self.is_clean.load(Relaxed) {
            self.is_clean.store(false, Relaxed);
            return false;
        }
        let found = self.found.load(Relaxed);
        found != 0 && found == hash(target)
    }

    /// Records the first line after a response. If a part of it arrived before the response, it is no request line.
    fn begin(&self, line: &[u8]) {
        if let Some(target) = target(line) {
            let found = fragment(target);
            self.is_clean.store(found.is_none(), Relaxed);
            self.found.store(found.unwrap_or_default(), Relaxed);
        }
    }

    /// Searches lines for the first request line with a `#`.
    fn search(&self, mut lines: &[u8]) {
        while let Some(at) = memchr(b'#', lines) {
            let begin = memrchr(b'\n', &lines[..at]).map_or(0, |end| end + 1);
            let Some(length) = memchr(b'\n', &lines[at..]) else { return };
            if let Some(found) = target(&lines[begin..at + length]).and_then(fragment) {
                let _ = self.found.compare_exchange(0, found, Relaxed, Relaxed);
                return;
            }
            lines = &lines[at + length + 1..];
        }
    }
}

/// The request lines in the bytes that a client sends.
#[derive(Debug, Default)]
pub(super) struct RequestLines {
    /// Whether the next bytes belong to a request line.
    is_in_line: bool,
    /// The bytes of that line that have arrived.
    line: Vec<u8>,
}

impl RequestLines {
    /// Announces that the next bytes begin the head of a request.
    pub(super) fn begin(&mut self) {
        self.is_in_line = true;
    }

    /// Reads bytes from the client.
    pub(super) fn read(&mut self, bytes: &[u8], fragments: &Fragments) {
        if !self.is_in_line {
            return fragments.search(bytes);
        }
        // hyper skips empty lines before a request line.
        let bytes = if self.line.is_empty() { bytes.trim_ascii_start() } else { bytes };
        let Some(end) = memchr(b'\n', bytes) else { return self.line.extend_from_slice(bytes) };
        let line = match std::mem::take(&mut self.line) {
            line if line.is_empty() => Cow::Borrowed(&bytes[..end]),
            mut line => {
                line.extend_from_slice(&bytes[..end]);
                Cow::Owned(line)
            }
        };
        self.is_in_line = false;
        fragments.begin(&line);
        fragments.search(&bytes[end + 1..]);
    }
}

/// Returns the target of a request line. In front of a pipelined request the line may contain the end of a body.
fn target(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_suffix(b" HTTP/1.1").or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    memrchr(b' ', line).map(|space| &line[space + 1..])
}

/// Returns the hash of a target that contains a `#`.
fn fragment(target: &[u8]) -> Option<u64> {
    memchr(b'#', target)?;
    Uri::try_from(target).ok().as_ref().map(hash)
}

fn hash(target: &Uri) -> u64 {
    // 0 stands for no line.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(target).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of a connection: bytes that arrive while no request runs, or while one runs, or a parsed request.
    enum Step {
        Idle(&'static str),
        Busy(&'static str),
        /// The target of the request, and whether it contains a `#`.
        Request(&'static str, bool),
    }
    use Step::{Busy, Idle, Request};

    #[test]
    fn requests_with_a_fragment() -> Result<(), Box<dyn std::error::Error>> {
        let table: &[&[Step]] = &[
            &[Idle("GET /a HTTP/1.1\r\nx: #\r\n\r\n"), Request("/a", false)],
            &[Idle("GET /a#b HTTP/1.1\r\n\r\n"), Request("/a", true)],
            &[Idle("GET /a?b#c HTTP/1.0\n\n"), Request("/a?b", true)],
            &[Idle("GET http://x/a# HTTP/1.1\r\n\r\n"), Request("http://x/a", true)],
            &[Idle("\r\n\nGET /a#b HTTP/1.1\r\n"), Request("/a", true)],
            &[Idle("G"), Idle("ET /a"), Idle("#b HTTP/1.1\r"), Idle("\n\r\n"), Request("/a", true)],
            &[Idle("G"), Idle("ET /a HTTP/1.1\r\nx: #"), Idle("\r\n\r\n"), Request("/a", false)],
            // One request after the other.
            &[
                Idle("GET /a HTTP/1.1\r\n\r\n"),
                Request("/a", false),
                Idle("GET /a#b HTTP/1.1\r\n\r\n"),
                Request("/a", true),
            ],
            // The request line in a body is no request line.
            &[
                Idle("POST /a HTTP/1.1\r\n\r\nPOST /a#b HTTP/1.1\r\n"),
                Request("/a", false),
                Busy("POST /a#b HTTP/1.1\r\n"),
                Idle("POST /a HTTP/1.1\r\n\r\n"),
                Request("/a", false),
            ],
            // Pipelined requests.
            &[
                Idle("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c#d HTTP/1.1\r\n\r\n"),
                Request("/a", false),
                Request("/b", false),
                Request("/c", true),
            ],
            &[
                Idle("POST /a HTTP/1.1\r\n\r\n#\n#"),
                Request("/a", false),
                Busy("#\n# #GET /b#d HTTP/1.1\r\nx: #\r\n\r\n"),
                Request("/b", true),
            ],
            // The second head began before the first response.
            &[
                Idle("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nx: "),
                Request("/a", false),
                Idle("# #\r\n\r\n"),
                Request("/b", false),
            ],
            &[
                Idle("GET /a HTTP/1.1\r\n\r\nGET /b#c HTTP/1.1\r\nx: "),
                Request("/a", false),
                Idle("y\r\n\r\n"),
                Request("/b", true),
            ],
        ];
        for (row, steps) in table.iter().enumerate() {
            let (mut lines, fragments, mut is_begun) = (RequestLines::default(), Fragments::default(), false);
            for (at, step) in steps.iter().enumerate() {
                match step {
                    Idle(bytes) => {
                        if !std::mem::replace(&mut is_begun, true) {
                            lines.begin();
                        }
                        lines.read(bytes.as_bytes(), &fragments);
                    }
                    Busy(bytes) => lines.read(bytes.as_bytes(), &fragments),
                    Request(target, expected) => {
                        let found = fragments.take(&target.parse()?);
                        assert_eq!(found, *expected, "row {row}, step {at}");
                        is_begun = false;
                    }
                }
            }
        }
        Ok(())
    }
}
