//! `carya harden`: prints, runs or checks the SQL that takes all unneeded privileges from the logins of guests.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, ensure};

use crate::{
    config::{self, Config, Dialect},
    harden::{self, Names},
};

/// How much longer than `request_timeout` a transaction may be idle before the server ends it.
const IDLE_MARGIN: Duration = Duration::from_secs(5);

/// Prints the scripts for all databases on servers, or runs them (`apply`), or only reports the findings (`check`).
pub(super) async fn harden(config: &Config, apply: bool, check: bool, only: Option<&str>) -> anyhow::Result<String> {
    ensure!(config.all_databases().next().is_some(), "there is nothing to harden: set database.url");
    let is_chosen = |name: &str| only.is_none_or(|only| only == name);
    if let Some(only) = only {
        ensure!(config.all_databases().any(|(name, _)| is_chosen(name)), "there is no {}", config::section_of(only));
    }
    let idle = config.server.request_timeout + IDLE_MARGIN;
    let on_servers =
        || config.all_databases().filter(|(name, database)| is_chosen(name) && database.dialect != Dialect::Sqlite);
    let mut answer = String::new();
    for (name, database) in on_servers() {
        let place = || config::section_of(name);
        let names = Names::of(database, idle).with_context(place)?;
        names.check_separate().with_context(place)?;
        answer += &match (apply, check) {
            (true, _) => self::apply(&names, database).await.with_context(place)?,
            (_, true) => findings(database).await.with_context(place)?,
            _ => harden::script(&names).with_context(place)?,
        };
    }
    if on_servers().next().is_none() {
        answer += "nothing to harden: SQLite has no logins; its authorizer checks each statement of a guest against a list of \
                   permitted operations\n";
    } else if check {
        ensure!(answer.is_empty(), "guests' logins may do more than they need\n{}", answer.trim_end());
        answer += "nothing is missing\n";
    }
    Ok(answer)
}

/// Runs the script as the owner, and reports the remaining findings.
async fn apply(names: &Names, database: &config::DatabaseConfig) -> anyhow::Result<String> {
    let admin = database
        .admin_url
        .as_ref()
        .context("the owner's login is missing: set admin_url, or run the output of `carya harden` as the owner")?;
    let mut answer = String::new();
    let left = match database.dialect {
        Dialect::MySql => "harden has failed; it can be run again",
        _ => "harden has failed and changed nothing",
    };
    harden::apply(names, admin, |group| eprintln!("applied: {group}")).await.context(left)?;
    writeln!(answer, "hardened {}", names.database)?;
    let findings = findings(database).await?;
    answer += if findings.is_empty() { "nothing is missing\n" } else { &findings };
    Ok(answer)
}

/// Returns a line for each finding: a privilege that guests do not need, or a restriction that is missing.
async fn findings(database: &config::DatabaseConfig) -> anyhow::Result<String> {
    let findings = harden::find_excess_rights(database).await.context(
        "cannot query the rights of the guests' logins; `carya harden --apply` creates them and sets their passwords",
    )?;
    Ok(findings.iter().map(|finding| format!("missing: {finding}\n")).collect())
}
