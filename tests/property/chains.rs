//! The routes of the property test, each with a different hook, and the outcome that the rules predict for each.

use super::model::Played;

/// A route with at most one hook.
#[derive(Debug)]
pub(super) struct Chain {
    name: &'static str,
    guest: &'static str,
    settings: &'static str,
    inside: bool,
    does: Does,
}

/// Effect of the hook on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// The hook does not change the outcome.
    Nothing,
    /// The hook writes a mark before the controller runs or, if `after`, after it has run.
    Writes { after: bool },
    /// The hook responds instead of the controller.
    AnswersFirst,
    /// The hook fails, so the controller does not run.
    FailsFirst,
    /// The hook fails after the controller has run.
    FailsAfter,
    /// The hook responds to failures with a 200.
    AnswersFailures,
    /// The hook changes the status to 203.
    Rewrites,
    /// The hook marks the transaction for rollback.
    Marks,
}

/// Predicted outcome of a request.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) committed: bool,
    pub(super) status: u16,
}

const fn chain(name: &'static str, guest: &'static str, settings: &'static str, inside: bool, does: Does) -> Chain {
    Chain { name, guest, settings, inside, does }
}

const WRITE: &str = "before = \"write\", sql = \"INSERT INTO marks SELECT concat('h', count(*)) FROM marks\"";
const WRITE_AFTER: &str = "after = \"write\", sql = \"INSERT INTO marks SELECT concat('h', count(*)) FROM marks\"";

/// The routes. The first has no hook.
pub(super) static CHAINS: [Chain; 24] = [
    chain("none", "", "", false, Does::Nothing),
    chain("silent", "trace-hook", "", true, Does::Nothing),
    chain("writes", "only-before", WRITE, true, Does::Writes { after: false }),
    chain("writes-after", "only-after", WRITE_AFTER, true, Does::Writes { after: true }),
    chain("answers", "only-before", "before = \"answer-200\"", true, Does::AnswersFirst),
    chain("answers-outside", "only-before", "before = \"answer-200\"", false, Does::AnswersFirst),
    chain("fails", "only-before", "before = \"fail\"", true, Does::FailsFirst),
    chain("fails-outside", "only-before", "before = \"fail\"", false, Does::FailsFirst),
    chain("panics", "only-before", "before = \"panic\"", true, Does::FailsFirst),
    chain("panics-outside", "only-before", "before = \"panic\"", false, Does::FailsFirst),
    chain("fails-after", "only-after", "after = \"fail\"", true, Does::FailsAfter),
    chain("panics-after", "only-after", "after = \"panic\"", true, Does::FailsAfter),
    chain("fails-after-outside", "only-after", "after = \"fail\"", false, Does::Nothing),
    chain("panics-after-outside", "only-after", "after = \"panic\"", false, Does::Nothing),
    chain("answers-failures", "only-on-error", "on_error = \"answer\"", true, Does::AnswersFailures),
    chain("answers-failures-outside", "only-on-error", "on_error = \"answer\"", false, Does::AnswersFailures),
    chain("fails-on-failures", "only-on-error", "on_error = \"fail\"", true, Does::Nothing),
    chain("panics-on-failures", "only-on-error", "on_error = \"panic\"", true, Does::Nothing),
    chain("panics-on-failures-outside", "only-on-error", "on_error = \"panic\"", false, Does::Nothing),
    chain("rewrites", "only-after", "after = \"rewrite\"", true, Does::Rewrites),
    chain("rewrites-outside", "only-after", "after = \"rewrite\"", false, Does::Rewrites),
    chain("header", "only-after", "after = \"header\"", true, Does::Nothing),
    chain("keeper", "keeper", "", true, Does::Nothing),
    chain("marks", "only-before", "before = \"mark-rollback\"", true, Does::Marks),
];

/// Returns the configuration of all routes.
pub(super) fn config() -> String {
    CHAINS.iter().map(Chain::config).collect()
}

impl Chain {
    pub(super) fn path(&self) -> String {
        format!("/{}", self.name)
    }

    fn config(&self) -> String {
        let Self { name, guest, settings, inside, .. } = self;
        let route = format!("[[route]]\npath = \"/{name}\"\ncomponent = \"probe\"\n");
        if guest.is_empty() {
            return route;
        }
        let priority = if *inside { 100 } else { 99 };
        format!(
            "{route}hooks = [{{ component = {name:?}, priority = {priority} }}]\n\
            [component.{name}]\npath = \"{{guest:{guest}}}\"\nsettings = {{ {settings} }}\n"
        )
    }

    /// Returns whether the hook writes a mark.
    pub(super) fn writes(&self) -> bool {
        matches!(self.does, Does::Writes { .. })
    }

    /// Returns whether the hook marks the transaction for rollback.
    pub(super) fn marks(&self) -> bool {
        self.does == Does::Marks
    }

    /// Returns whether the controller runs.
    pub(super) fn reaches(&self) -> bool {
        !matches!(self.does, Does::AnswersFirst | Does::FailsFirst)
    }

    /// Predicts the outcome of a request with a writer.
    pub(super) fn expect(&self, played: &Played) -> Expected {
        let (does, inside) = (self.does, self.inside);
        let answered = played.status().filter(|_| self.reaches());
        let mut failed = answered.is_none() && does != Does::AnswersFirst;
        let mut status = match (does, answered) {
            (Does::AnswersFirst, _) => 200,
            (_, Some(status)) => status,
            (_, None) => 500,
        };
        if failed && inside && does == Does::AnswersFailures {
            status = 200;
        }
        let refused = does == Does::Writes { after: true } && played.doomed;
        if (does == Does::FailsAfter || refused) && !failed {
            (failed, status) = (true, 500);
        }
        if inside && does == Does::Rewrites {
            status = 203;
        }
        let may = !failed && answered.is_some_and(|status| (200..400).contains(&status));
        let may = may && !played.marked && does != Does::Marks;
        if may && played.doomed {
            (failed, status) = (true, 500);
        }
        if failed && !inside && does == Does::AnswersFailures {
            status = 200;
        }
        if !inside && does == Does::Rewrites {
            status = 203;
        }
        Expected { committed: may && !played.doomed, status }
    }
}
