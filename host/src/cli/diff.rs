//! `carya diff`: what one application may do that another may not.

use std::{fmt::Write, path::Path};

use anyhow::bail;
use serde_json::{Value, json};

use super::load_all;
use crate::{
    app,
    config::DifferenceKind,
    diff::{self, Difference, Outline},
    telemetry::Format,
};

/// Reads a kind of difference from the command line.
pub(super) fn kind(word: &str) -> Result<DifferenceKind, String> {
    DifferenceKind::of(word).ok_or_else(|| {
        let all = DifferenceKind::ALL.map(DifferenceKind::as_str).join(", ");
        format!("this is not a kind of difference; accepted: {all}")
    })
}

/// Prints what differs. Fails if anything is of a kind that is denied.
pub(super) async fn diff(
    old: &Path,
    new: &Path,
    deny: &[DifferenceKind],
    as_json: bool,
    format: Format,
) -> anyhow::Result<String> {
    let (old, new) = (load_all(old, format).await?, app::read(new).await?);
    let engine = app::engine(&old)?;
    let old = app::assemble(old, engine.clone(), None)?;
    let new = app::assemble(new, engine, Some(&old))?;
    let found = diff::between(&Outline::of(&old), &Outline::of(&new));
    let answer = if as_json { json(&found) } else { text(&found)? };
    let denied = diff::denied(&found, |kind| deny.contains(&kind));
    if denied.is_empty() {
        return Ok(answer);
    }
    super::print(&answer)?;
    let lines: Vec<_> = denied.iter().map(|denied| format!("\n  {}: {denied}", denied.kind.as_str())).collect();
    bail!("--deny forbids this:{}", lines.concat())
}

fn json(found: &[Difference]) -> String {
    let value = |found: &Difference| {
        let (kind, widens) = (found.kind.as_str(), found.kind.widens());
        json!({"kind": kind, "widens": widens, "place": found.place, "words": found.words})
    };
    format!("{:#}\n", json!({"differences": found.iter().map(value).collect::<Value>()}))
}

/// A line each. A mark stands before those by which something may happen that could not before.
fn text(found: &[Difference]) -> anyhow::Result<String> {
    if found.is_empty() {
        return Ok("nothing differs in what is served and in what it may do\n".to_owned());
    }
    let mut answer = String::new();
    for found in found {
        let mark = if found.kind.widens() { '!' } else { ' ' };
        writeln!(answer, "{mark} {:29} {found}", found.kind.as_str())?;
    }
    Ok(answer)
}
