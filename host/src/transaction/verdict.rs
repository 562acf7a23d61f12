//! Commit or roll back. The default is to roll back; a commit needs an [`Approval`], which is made here and nowhere
//! else.

use crate::config::StatusSet;

/// The proof that a transaction may be committed.
#[derive(Debug)]
pub struct Approval(());

/// What the host knows when everything inside the transaction has run.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Something inside failed: a guest, a hook, the encoding of the answer, a limit.
    pub failed: bool,
    /// The controller itself answered; no hook was faster.
    pub reached: bool,
    /// The status of the answer.
    pub status: u16,
    /// The statuses that commit on this route.
    pub commit_on: &'a StatusSet,
    /// Whether redirects roll back on this route.
    pub rollback_on_redirect: bool,
    /// A statement failed and nobody went back before it.
    pub doomed: bool,
    /// A guest asked for the rollback.
    pub marked: bool,
    /// The client is gone or the host is shutting down.
    pub abandoned: bool,
}

/// The decision.
#[derive(Debug)]
pub enum Verdict {
    /// All conditions hold.
    Commit(Approval),
    /// One does not.
    Rollback(Reason),
}

/// Why a transaction is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The client is gone or the host is shutting down.
    Abandoned,
    /// Something inside failed.
    Failed,
    /// A hook answered instead of the controller.
    NotReached,
    /// The status does not commit.
    Status(u16),
    /// A failed statement was left standing.
    Doomed,
    /// A guest asked for it.
    Marked,
}

/// How a request's transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was none, or it only read.
    Nothing,
    /// What was written is there to stay.
    Committed,
    /// Nothing was written.
    RolledBack,
    /// The connection was lost while the commit ran: nobody knows.
    InDoubt,
}

impl Outcome {
    /// Its name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Nothing => "nothing",
            Outcome::Committed => "committed",
            Outcome::RolledBack => "rolled back",
            Outcome::InDoubt => "in doubt",
        }
    }
}

/// Decides. The first condition that does not hold is the reason.
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
