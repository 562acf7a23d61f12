//! Collects the failed rows of a table test, so that the test reports all of them instead of only the first.

/// Descriptions of failed rows. `check!`, `check_eq!` and `check_ne!` add them. Dropping the value panics if it
/// contains a description, so a test cannot forget to report a failure.
#[derive(Debug, Default)]
pub struct Wrong(Vec<String>);

impl Wrong {
    pub fn push(&mut self, row: String) {
        self.0.push(row);
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let report = format!("{} rows are wrong:\n{}", self.0.len(), self.0.join("\n"));
        // A second panic would abort the process and lose the first.
        if std::thread::panicking() { eprintln!("{report}") } else { panic!("{report}") }
    }
}

/// Like `assert!`, but adds the message to a [`Wrong`] instead of panicking.
macro_rules! check {
    ($wrong:expr, $is_right:expr, $($row:tt)+) => {
        if !$is_right {
            $wrong.push(format!("{}: {}", format_args!($($row)+), stringify!($is_right)));
        }
    };
}
pub(crate) use check;

/// Like `assert_eq!`, but adds the message to a [`Wrong`] instead of panicking.
macro_rules! check_eq {
    ($wrong:expr, $found:expr, $expected:expr, $($row:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) if *found == *expected => {}
            (found, expected) => {
                $wrong.push(format!("{}: found {found:?}, expected {expected:?}", format_args!($($row)+)));
            }
        }
    };
}
pub(crate) use check_eq;

/// Like `assert_ne!`, but adds the message to a [`Wrong`] instead of panicking.
macro_rules! check_ne {
    ($wrong:expr, $found:expr, $refused:expr, $($row:tt)+) => {
        match (&$found, &$refused) {
            (found, refused) if *found != *refused => {}
            (found, _) => $wrong.push(format!("{}: found {found:?}", format_args!($($row)+))),
        }
    };
}
pub(crate) use check_ne;
