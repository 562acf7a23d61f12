//! `carya migrate`: runs pending migrations, or resets a database.

use std::{fmt::Write, path::Path};

use anyhow::{Context, bail, ensure};

use crate::{
    config::{self, Config, MAIN},
    database::Database,
    migrate,
};

/// A database with its name and its folder of migrations.
type Migrated<'a> = (&'a str, &'a config::DatabaseConfig, &'a Path);

/// Returns the databases that have migrations, or only the one with the given name.
fn migrated<'a>(config: &'a Config, only: Option<&str>) -> anyhow::Result<Vec<Migrated<'a>>> {
    if let Some(name) = only {
        ensure!(
            config.all_databases().any(|(other, _)| other == name),
            "there is no database {name:?} in the configuration"
        );
    }
    let chosen = config.all_databases().filter(|(name, _)| only.is_none_or(|only| only == *name));
    let migrated = chosen.filter_map(|(name, settings)| Some((name, settings, settings.migrations.as_deref()?)));
    let migrated: Vec<_> = migrated.collect();
    ensure!(!migrated.is_empty(), "no database has migrations: set database.url and model.migrations");
    Ok(migrated)
}

/// Runs the pending migrations, or only lists them.
pub(super) async fn migrate(config: &Config, dry_run: bool, only: Option<&str>, json: bool) -> anyhow::Result<String> {
    let word = if dry_run { "pending" } else { "applied" };
    let (mut found, mut lines, mut before) = (serde_json::Map::new(), Vec::new(), 0);
    for (database, settings, folder) in migrated(config, only)? {
        let cannot = || config.place(&config::url_key(database)).problem("cannot be opened");
        let names = if dry_run {
            migrate::pending(settings, folder).await.map_err(|error| match error {
                migrate::Error::Database(error) => anyhow::Error::from(error).context(cannot()),
                error => error.into(),
            })?
        } else {
            let opened = Database::open(database, settings).await.with_context(cannot)?;
            let report = migrate::apply(&opened, folder).await?;
            before += report.already_applied;
            report.applied
        };
        let to = if database == MAIN { String::new() } else { format!(" to {database}") };
        lines.extend(names.iter().map(|name| format!("{word} {name}{to}\n")));
        found.insert(database.to_owned(), names.into());
    }
    if json {
        return Ok(format!("{:#}\n", serde_json::json!({ word: found })));
    }
    if lines.is_empty() {
        let before = if dry_run { String::new() } else { format!("; applied before: {before}") };
        return Ok(format!("nothing is pending{before}\n"));
    }
    Ok(lines.concat())
}

/// Resets one database. `name` is its name on the server, which the user has repeated as a confirmation.
pub(super) async fn reset(config: &Config, name: &str, only: Option<&str>, json: bool) -> anyhow::Result<String> {
    let (database, settings, folder) = match migrated(config, only)?.as_slice() {
        [one] => *one,
        several => {
            let names: Vec<_> = several.iter().map(|(name, ..)| *name).collect();
            bail!("there are several databases with migrations; choose one by `--database`: {}", names.join(", "));
        }
    };
    let reset = migrate::reset::reset_database(settings, folder, name, config.folder()).await;
    let reset = reset.with_context(|| format!("{} was not reset", config::section_of(database)))?;
    let (saved, applied) = (reset.saved.display(), reset.report.applied);
    if json {
        return Ok(format!("{:#}\n", serde_json::json!({ "saved": reset.saved, "applied": { database: applied } })));
    }
    let mut answer = format!("saved to {saved}\n");
    applied.iter().try_for_each(|name| writeln!(answer, "applied {name}"))?;
    Ok(answer)
}
