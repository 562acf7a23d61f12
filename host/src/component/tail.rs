//! The end of the standard error of a call, which becomes a part of the error if the call fails.

use memchr::memmem;

use crate::telemetry::excerpt;

/// Number of bytes that are kept.
const KEPT: usize = 512;

/// Words with which Rust announces a panic.
const PANIC: &[u8] = b"panicked at";

/// The last bytes of the output, or its first bytes from the last panic on.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_panic: bool,
}

impl Tail {
    pub(super) fn push(&mut self, output: &[u8]) {
        if memmem::find(output, PANIC).is_some() {
            self.bytes.clear();
            self.is_panic = true;
        }
        self.bytes.extend_from_slice(output);
        let excess = self.bytes.len().saturating_sub(KEPT);
        match self.is_panic {
            true => self.bytes.truncate(KEPT),
            false => drop(self.bytes.drain(..excess)),
        }
    }

    /// Forgets the output of earlier calls, which may have been for other requests.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.is_panic = false;
    }

    /// Returns the output as one line, or `None` if there was none.
    pub(super) fn line(&self) -> Option<String> {
        let line = excerpt(&String::from_utf8_lossy(&self.bytes), KEPT);
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_output_or_the_panic_is_kept() {
        let (long, kept) = ("x".repeat(10 * KEPT), "x".repeat(KEPT - 4));
        let table = [
            (vec![""], String::new()),
            (vec!["\n"], String::new()),
            (vec!["a\n", "  b"], "a b".to_owned()),
            (vec![&*long, "\nend"], format!("{kept} end")),
            (vec!["end", &*long], "x".repeat(KEPT)),
            (
                vec!["noise\n", "\nthread 'main' panicked at a.rs:1:2:\nwhy\n"],
                "thread 'main' panicked at a.rs:1:2: why".into(),
            ),
            (vec!["panicked at 1\n", &*long, "\npanicked at 2"], "panicked at 2".to_owned()),
        ];
        let mut tail = Tail::default();
        for (outputs, expected) in table {
            outputs.iter().for_each(|output| tail.push(output.as_bytes()));
            assert_eq!(tail.line().unwrap_or_default(), expected, "{outputs:?}");
            tail.clear();
            assert_eq!(tail.line(), None);
        }
        tail.push(format!("' panicked at a.rs:1:2:\nbecause {long}").as_bytes());
        let line = tail.line().unwrap_or_default();
        assert!(line.starts_with("' panicked at a.rs:1:2: because xx") && line.len() <= KEPT, "{line}");
    }
}
