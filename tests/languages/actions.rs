//! Actions, which run in a transaction of their own.

use super::case::Case;

pub fn cases() -> Vec<Case> {
    let act = |how: &str, text: &str| Case::new("POST", format!("/action/{how}")).body(text);
    vec![
        act("commit", "Größe \"🌰\"").returns(204, "").leaves(&["Größe \"🌰\" 1 true"]),
        act("rollback", "a").contains(409, &["a problem of the client"]).leaves(&["a 1 false"]),
        // The action adds a note and fails.
        act("broken", "a").returns(204, "").logs("a failure of the action: a").leaves(&[]),
    ]
}
