//! `carya diff`: differences in routes, components and capabilities between two configurations.

use std::{fmt::Write, path::Path, sync::Arc};

use anyhow::bail;
use serde_json::{Value, json};

use super::{input::load_sources, output::print};
use crate::{
    app::{self, Application},
    config::DifferenceKind,
    diff::{self, Difference, Outline},
    telemetry::Format,
};

/// Parses a kind of difference from the command line.
pub(super) fn kind(word: &str) -> Result<DifferenceKind, String> {
    DifferenceKind::of(word).ok_or_else(|| {
        let all = DifferenceKind::ALL.map(DifferenceKind::as_str).join(", ");
        format!("unknown kind of difference; accepted: {all}")
    })
}

/// Lists the differences.
///
/// # Errors
///
/// Fails if a difference has a kind in `deny`.
pub(super) async fn diff(
    old: &Path,
    new: &Path,
    deny: &[DifferenceKind],
    as_json: bool,
    format: Format,
) -> anyhow::Result<String> {
    let (old, new) = (load_sources(old, format).await?, Application::read(new, None)?.pull().await?);
    let engine = app::engine_for_trials(&old.config, Some(&new.config))?;
    let old = Arc::new(app::assemble(old, engine.clone(), None).await?);
    let new = app::assemble(new, engine, Some(old.clone())).await?;
    let found = diff::between(&Outline::of(&old), &Outline::of(&new));
    let answer = if as_json { json(&found) } else { text(&found)? };
    let denied = diff::denied(&found, |kind| deny.contains(&kind));
    if denied.is_empty() {
        return Ok(answer);
    }
    print(&answer)?;
    let lines: Vec<_> = denied.iter().map(|denied| format!("\n  {}: {denied}", denied.kind.as_str())).collect();
    bail!("--deny forbids these differences:{}", lines.concat())
}

fn json(found: &[Difference]) -> String {
    format!("{:#}\n", json!({"differences": found.iter().map(Difference::json).collect::<Value>()}))
}

fn text(found: &[Difference]) -> anyhow::Result<String> {
    if found.is_empty() {
        return Ok("no differences in routes, components and capabilities\n".to_owned());
    }
    let mut answer = String::new();
    for found in found {
        writeln!(answer, "{}", line(found.kind.widens(), found.kind.as_str(), &found.to_string()))?;
    }
    Ok(answer)
}

/// Formats a difference as a line. A line with `!` describes a change that permits something that was not possible
/// before.
pub(super) fn line(widens: bool, kind: &str, what: &str) -> String {
    format!("{} {kind:29} {what}", if widens { '!' } else { ' ' })
}
