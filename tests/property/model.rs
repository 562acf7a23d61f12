//! What a script does by the rules: a model of doom, savepoints, marks and actions, without a database.

use serde_json::{Value as Json, json};

use crate::script::{after_commit, after_rollback, answer, broken, fail, insert, swallowed};

/// A step of a random script. Marks and actions get their names once the script is whole.
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
    Answer(u16),
    /// An answer that cannot be encoded.
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

/// Gives every mark and action a name of its own.
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

/// The script as the guest `probe` reads it.
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
        Step::Answer(status) => answer(*status),
        Step::Nonsense => json!({ "answer": { "headers": [["bad name", "x"]] } }),
        Step::Mark => json!({ "mark_rollback": true }),
        Step::Fail => fail(),
        Step::Panic => json!({ "panic": true }),
    };
    steps.iter().map(step).collect()
}

/// What a script came to.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The marks that are there if it is committed, in order.
    pub(super) marks: Vec<String>,
    /// Actions, and whether they are for the commit.
    registered: Vec<(bool, String)>,
    /// A statement failed and was not gone back before.
    pub(super) doomed: bool,
    /// A rollback was asked for.
    pub(super) marked: bool,
    /// The last answer's status, 0 for one that cannot be encoded. None is 200.
    answered: Option<u16>,
    failed: bool,
}

/// The controller stops here.
struct Failed;

impl Played {
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut played = Self::default();
        played.failed = played.play(steps).is_err();
        played
    }

    /// The controller's status, if it answered at all.
    pub(super) fn status(&self) -> Option<u16> {
        Some(self.answered.unwrap_or(200)).filter(|status| !self.failed && *status > 0)
    }

    /// The names of the actions for an outcome.
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
                Step::Answer(status) => self.answered = Some(*status),
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
