//! Model of a script's effects on savepoints, doom, marks and actions. The model needs no database.

use serde_json::{Value as Json, json};

use crate::script::{after_commit, after_rollback, answer, broken, fail, insert, swallowed};

/// A step of a random script. [`name`] fills in the names of marks and actions once the script is complete.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Insert {
        mark: String,
        swallow: bool,
    },
    Broken {
        swallow: bool,
    },
    Savepoint {
        steps: Vec<Step>,
        end: End,
    },
    Action {
        commit: bool,
        name: String,
    },
    Response(u16),
    /// A response that cannot be encoded.
    Nonsense,
    Mark,
    Fail,
    Panic,
}

/// How a savepoint ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Drop,
    Rollback,
    Leak,
}

/// Gives every mark and action a unique name.
pub(super) fn name(steps: &mut [Step], prefix: &str, number: &mut usize) {
    for step in steps {
        match step {
            Step::Insert { mark: name, .. } | Step::Action { name, .. } => {
                *number += 1;
                *name = format!("{prefix}-{number}");
            }
            Step::Savepoint { steps, .. } => self::name(steps, prefix, number),
            _ => {}
        }
    }
}

/// Renders the script for the guest `probe`.
pub(super) fn render(steps: &[Step]) -> Vec<Json> {
    let step = |step: &Step| match step {
        Step::Insert { mark, swallow } => {
            let mut step = insert(mark);
            step["swallow"] = (*swallow).into();
            step
        }
        Step::Broken { swallow: true } => swallowed(),
        Step::Broken { swallow: false } => broken(),
        Step::Savepoint { steps, end } => {
            let end = format!("{end:?}").to_lowercase();
            json!({ "savepoint": render(steps), "end": end })
        }
        Step::Action { commit: true, name } => after_commit(name),
        Step::Action { commit: false, name } => after_rollback(name),
        Step::Response(status) => answer(*status),
        Step::Nonsense => json!({ "answer": { "headers": [["bad name", "x"]] } }),
        Step::Mark => json!({ "mark_rollback": true }),
        Step::Fail => fail(),
        Step::Panic => json!({ "panic": true }),
    };
    steps.iter().map(step).collect()
}

/// Effects of a script.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The marks that a commit leaves in the database, in order.
    pub(super) marks: Vec<String>,
    /// The registered actions. The first field is true for an action of the commit.
    registered: Vec<(bool, String)>,
    /// A statement failed, and the script did not roll back to an earlier savepoint.
    pub(super) doomed: bool,
    /// The script has marked the transaction for rollback.
    pub(super) marked: bool,
    /// Status of the last response, 0 if it cannot be encoded. `None` counts as 200.
    answered: Option<u16>,
    failed: bool,
}

/// The controller returns an error here.
struct Failed;

impl Played {
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut played = Self::default();
        played.failed = played.play(steps).is_err();
        played
    }

    /// Returns the controller's status, or `None` if the controller failed.
    pub(super) fn status(&self) -> Option<u16> {
        Some(self.answered.unwrap_or(200)).filter(|status| !self.failed && *status > 0)
    }

    /// Returns the names of the actions that run after a commit or after a rollback.
    pub(super) fn actions(&self, committed: bool) -> Vec<String> {
        self.registered.iter().filter(|(commit, _)| *commit == committed).map(|(_, name)| name.clone()).collect()
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), Failed> {
        for step in steps {
            match step {
                Step::Insert { swallow, .. } | Step::Broken { swallow } if self.doomed => swallowed_or(*swallow)?,
                Step::Insert { mark, .. } => self.marks.push(mark.clone()),
                Step::Broken { swallow } => {
                    self.doomed = true;
                    swallowed_or(*swallow)?;
                }
                Step::Savepoint { .. } if self.doomed => return Err(Failed),
                Step::Savepoint { steps, end } => {
                    let (marks, actions) = (self.marks.len(), self.registered.len());
                    self.play(steps)?;
                    if *end == End::Rollback {
                        self.marks.truncate(marks);
                        self.registered.truncate(actions);
                        self.doomed = false;
                    }
                }
                Step::Action { commit, name } => self.registered.push((*commit, name.clone())),
                Step::Response(status) => self.answered = Some(*status),
                Step::Nonsense => self.answered = Some(0),
                Step::Mark => self.marked = true,
                Step::Fail | Step::Panic => return Err(Failed),
            }
        }
        Ok(())
    }
}

fn swallowed_or(swallow: bool) -> Result<(), Failed> {
    if swallow { Ok(()) } else { Err(Failed) }
}
