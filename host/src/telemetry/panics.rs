//! Logs panics of the host as records. The standard library would print each one as several lines of text.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic, thread,
};

use tracing::{Level, field};

const TARGET: &str = "carya::panic";

/// Logs all panics of this process from now on, on any thread. With `RUST_BACKTRACE`, the records contain a backtrace.
pub(super) fn log() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // A panic that the filter excludes from the log must not be lost.
        if !tracing::enabled!(target: TARGET, Level::ERROR) {
            return print(panic);
        }
        let message = panic.payload_as_str().unwrap_or("no message");
        let (file, line) = panic.location().map(|location| (location.file(), location.line())).unzip();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| field::display(backtrace));
        let thread = thread::current();
        tracing::error!(
            target: TARGET,
            thread = thread.name(),
            file,
            line,
            backtrace,
            "the host panicked, which is a bug in carya: {message}"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Format, Limits, start, tests::in_own_process};

    fn panic_on_threads(format: Format) {
        start(format, "info", Limits { max_per_request: 1, max_per_second: usize::MAX });
        let worker = thread::Builder::new().name("worker".to_owned()).spawn(|| panic!("first\nline"));
        assert!(worker.is_ok_and(|worker| worker.join().is_err()));
        let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
        runtime.block_on(async {
            let blocking = tokio::task::spawn_blocking(|| panic!("second\u{1b}[2J")).await;
            assert!(blocking.is_err());
            assert!(crate::task::caught(async { panic!("third") }).await.is_err());
        });
    }

    #[test]
    #[ignore = "a part of a_panic_is_one_record"]
    fn panics_as_text() {
        panic_on_threads(Format::Text);
    }

    #[test]
    #[ignore = "a part of a_panic_is_one_record"]
    fn panics_as_json() {
        panic_on_threads(Format::Json);
    }

    #[test]
    fn a_panic_is_one_record() {
        for backtrace in ["0", "1"] {
            let text = in_own_process("telemetry::panics::tests::panics_as_text", backtrace);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            for (line, message) in lines.iter().zip(["first\\nline", "second\\u{1b}[2J", "third"]) {
                assert!(line.contains(" ERROR carya::panic: the host panicked") && line.contains(message), "{line}");
                assert_eq!(line.contains(" backtrace="), backtrace == "1", "{line}");
            }
            let json = in_own_process("telemetry::panics::tests::panics_as_json", backtrace);
            let lines: Vec<serde_json::Value> =
                json.lines().map(|line| serde_json::from_str(line).expect("each line is a record")).collect();
            assert_eq!(lines.len(), 3, "{json}");
            assert_eq!(lines[0]["thread"], "worker");
            for line in lines {
                assert!(line["line"].is_u64() && line["file"].is_string(), "{line}");
                assert_eq!(line["backtrace"].is_string(), backtrace == "1", "{line}");
            }
        }
    }
}
