//! The decision between commit and rollback. The default is a rollback; a commit requires an [`Approval`], which only
//! this module creates.

use std::fmt;

use super::session::Session;
use crate::config::StatusSet;

/// Proof that a transaction may be committed. Only [`decide`] creates it.
#[derive(Debug)]
pub struct Approval(());

/// Facts that determine the verdict, collected after everything inside the transaction has run.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Origin of the answer.
    pub(crate) origin: Origin,
    /// Statuses of the controller's response after which the transaction is committed on this route.
    pub(crate) commit_on: &'a StatusSet,
    /// Whether the transaction is rolled back after a redirect on this route.
    pub(crate) rollback_on_redirect: bool,
    /// Whether a statement failed and no guest rolled back to an earlier savepoint.
    pub(crate) doomed: bool,
    /// Whether a guest requested a rollback, or the host runs the request as a rehearsal, without a client.
    pub(crate) marked: bool,
    /// Whether the request was interrupted: the client disconnected, the host is shutting down,
    /// `server.request_timeout` passed, or the host panicked.
    pub(crate) interrupted: bool,
}

/// Origin of the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The controller responded. `after` hooks may have changed the reply since.
    Controller {
        /// Status of the controller's own response.
        status: u16,
    },
    /// The controller did not run, because a hook or the host answered the request before.
    Early,
    /// The controller, a hook inside the transaction or the rendering of the response failed, or a limit was exceeded.
    Failure,
}

/// Decision between commit and rollback.
#[derive(Debug)]
pub enum Verdict {
    /// Commit: all conditions hold.
    Commit(Approval),
    /// Roll back: at least one condition does not hold.
    Rollback(Reason),
}

/// Reason for a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request was interrupted; see `Facts::interrupted`.
    Interrupted,
    /// The request failed; see `Origin::Failure`.
    Failed,
    /// The controller did not run.
    Early,
    /// The status is not one of `Facts::commit_on`, or it is a redirect and `Facts::rollback_on_redirect` is set.
    Status(u16),
    /// A statement failed and no guest rolled back to an earlier savepoint.
    Doomed,
    /// A guest requested the rollback, or the request is a rehearsal; see `Facts::marked`.
    Marked,
}

/// How a request's transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was no transaction, or it only read.
    Nothing,
    /// The changes are committed.
    Committed,
    /// The changes are rolled back.
    RolledBack,
    /// The database did not confirm the commit, for example because the connection was lost. The outcome is unknown.
    InDoubt,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Interrupted => f.write_str("the request was interrupted"),
            Reason::Failed => f.write_str("the request failed"),
            Reason::Early => f.write_str("the controller did not run"),
            Reason::Status(status) => write!(f, "the status of the response is {status}"),
            Reason::Doomed => f.write_str("a statement failed and was not undone by a savepoint"),
            Reason::Marked => f.write_str("a guest requested the rollback"),
        }
    }
}

impl Outcome {
    /// Returns the name of the outcome in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Nothing => "nothing",
            Outcome::Committed => "committed",
            Outcome::RolledBack => "rolled back",
            Outcome::InDoubt => "in doubt",
        }
    }
}

/// Decides between commit and rollback. The first condition that does not hold is the reason for a rollback.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    let reason = if facts.interrupted {
        Reason::Interrupted
    } else if let Some(reason) = facts.objection() {
        reason
    } else if facts.marked {
        Reason::Marked
    } else if facts.doomed {
        Reason::Doomed
    } else {
        return Verdict::Commit(Approval(()));
    };
    Verdict::Rollback(reason)
}

/// Decides between commit and rollback for a call in a transaction of its own, without a request: that of a model or of
/// an action. `is_success` is whether the guest returned without an error.
pub(crate) fn decide_call(is_success: bool, session: &Session) -> Verdict {
    const SUCCESS: u16 = 200;
    decide(&Facts {
        origin: if is_success { Origin::Controller { status: SUCCESS } } else { Origin::Failure },
        commit_on: &StatusSet::new(vec![SUCCESS..=SUCCESS]),
        rollback_on_redirect: false,
        doomed: session.doom().is_some(),
        marked: session.is_marked(),
        interrupted: false,
    })
}

impl Facts<'_> {
    /// Returns the reason for a rollback if the answer does not permit a commit.
    fn objection(&self) -> Option<Reason> {
        match self.origin {
            Origin::Failure => Some(Reason::Failed),
            Origin::Early => Some(Reason::Early),
            Origin::Controller { status } => {
                let rolls_back = self.rollback_on_redirect && (300..400).contains(&status);
                (rolls_back || !self.commit_on.contains(status)).then_some(Reason::Status(status))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_only_if_all_conditions_hold() {
        let success = StatusSet::new(vec![200..=399]);
        let audit = StatusSet::new(vec![200..=399, 404..=404]);
        let good = || Facts {
            origin: Origin::Controller { status: 200 },
            commit_on: &success,
            rollback_on_redirect: false,
            doomed: false,
            marked: false,
            interrupted: false,
        };
        let controller = |status| Origin::Controller { status };
        let table: Vec<(Facts<'_>, Option<Reason>)> = vec![
            (good(), None),
            (Facts { origin: controller(302), ..good() }, None),
            (Facts { origin: controller(307), ..good() }, None),
            (Facts { origin: controller(302), rollback_on_redirect: true, ..good() }, Some(Reason::Status(302))),
            (Facts { origin: controller(200), rollback_on_redirect: true, ..good() }, None),
            (Facts { origin: controller(404), ..good() }, Some(Reason::Status(404))),
            (Facts { origin: controller(500), ..good() }, Some(Reason::Status(500))),
            (Facts { origin: controller(404), commit_on: &audit, ..good() }, None),
            (Facts { origin: Origin::Failure, ..good() }, Some(Reason::Failed)),
            (Facts { origin: Origin::Early, ..good() }, Some(Reason::Early)),
            (Facts { doomed: true, ..good() }, Some(Reason::Doomed)),
            (Facts { doomed: true, origin: controller(409), ..good() }, Some(Reason::Status(409))),
            (Facts { marked: true, ..good() }, Some(Reason::Marked)),
            (Facts { interrupted: true, ..good() }, Some(Reason::Interrupted)),
        ];
        for (facts, expected) in table {
            let actual = match decide(&facts) {
                Verdict::Commit(_) => None,
                Verdict::Rollback(reason) => Some(reason),
            };
            assert_eq!(actual, expected, "{facts:?}");
        }
    }
}
