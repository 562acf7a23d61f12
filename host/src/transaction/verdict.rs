//! The decision between commit and rollback. The default is a rollback; a commit requires an [`Approval`], which only
//! this module creates.

use crate::config::StatusSet;

/// Proof that a transaction may be committed. Only [`decide`] creates it.
#[derive(Debug)]
pub struct Approval(());

/// Facts that decide the verdict, collected when everything inside the transaction has run.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Whether something inside failed: a controller, a hook, the rendering of the response, or a limit.
    pub failed: bool,
    /// Whether the controller itself responded, and not a hook before it.
    pub reached: bool,
    /// Status of the controller's response; 0 if the controller did not respond.
    pub status: u16,
    /// Statuses that commit on this route.
    pub commit_on: &'a StatusSet,
    /// Whether redirects roll back on this route.
    pub rollback_on_redirect: bool,
    /// Whether a statement failed, and no guest rolled back to a savepoint before it.
    pub doomed: bool,
    /// Whether a guest requested a rollback, or the request is only a rehearsal.
    pub marked: bool,
    /// Whether the request was interrupted: the client disconnected, the host is shutting down,
    /// `server.request_timeout` passed, or the host panicked.
    pub abandoned: bool,
}

/// Decision between commit and rollback.
#[derive(Debug)]
pub enum Verdict {
    /// Commit: all conditions hold.
    Commit(Approval),
    /// Roll back: one condition does not hold.
    Rollback(Reason),
}

/// Reason for a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request was interrupted; see [`Facts::abandoned`].
    Abandoned,
    /// Something inside failed.
    Failed,
    /// A hook answered instead of the controller.
    NotReached,
    /// The status is not one of [`Facts::commit_on`], or is a redirect and those roll back.
    Status(u16),
    /// A statement failed, and no guest rolled back to a savepoint before it.
    Doomed,
    /// A guest requested the rollback.
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

impl Outcome {
    /// Returns the name of the outcome in logs.
    pub fn as_str(self) -> &'static str {
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
    let redirect = (300..400).contains(&facts.status);
    let reason = if facts.abandoned {
        Reason::Abandoned
    } else if facts.failed {
        Reason::Failed
    } else if !facts.reached {
        Reason::NotReached
    } else if !facts.commit_on.contains(facts.status) || (redirect && facts.rollback_on_redirect) {
        Reason::Status(facts.status)
    } else if facts.marked {
        Reason::Marked
    } else if facts.doomed {
        Reason::Doomed
    } else {
        return Verdict::Commit(Approval(()));
    };
    Verdict::Rollback(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_counts() {
        let success = StatusSet::new(vec![200..=399]);
        let audit = StatusSet::new(vec![200..=399, 404..=404]);
        let good = || Facts {
            failed: false,
            reached: true,
            status: 200,
            commit_on: &success,
            rollback_on_redirect: false,
            doomed: false,
            marked: false,
            abandoned: false,
        };
        let table: Vec<(Facts<'_>, Option<Reason>)> = vec![
            (good(), None),
            (Facts { status: 302, ..good() }, None),
            (Facts { status: 307, ..good() }, None),
            (Facts { status: 302, rollback_on_redirect: true, ..good() }, Some(Reason::Status(302))),
            (Facts { status: 200, rollback_on_redirect: true, ..good() }, None),
            (Facts { status: 404, ..good() }, Some(Reason::Status(404))),
            (Facts { status: 500, ..good() }, Some(Reason::Status(500))),
            (Facts { status: 404, commit_on: &audit, ..good() }, None),
            (Facts { failed: true, ..good() }, Some(Reason::Failed)),
            (Facts { reached: false, ..good() }, Some(Reason::NotReached)),
            (Facts { doomed: true, ..good() }, Some(Reason::Doomed)),
            (Facts { doomed: true, status: 409, ..good() }, Some(Reason::Status(409))),
            (Facts { marked: true, ..good() }, Some(Reason::Marked)),
            (Facts { abandoned: true, ..good() }, Some(Reason::Abandoned)),
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
