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
    let is_asked = |name: &str| only.is_none_or(|only| only == name);
    if let Some(only) = only {
        ensure!(config.all_databases().any(|(name, _)| is_asked(name)), "there is no {}", config::section_of(only));
    }
    let idle = config.server.request_timeout + IDLE_MARGIN;
    let on_servers =
        || config.all_databases().filter(|(name, database)| is_asked(name) && database.dialect != Dialect::Sqlite);
    let mut answer = String::new();
    for (name, database) in on_servers() {
        let place = || config::section_of(name);
        let names = Names::of(database, idle).with_context(place)?;
        answer += &match (apply, check) {
            (true, _) => run(&names, database).await.with_context(place)?,
            (_, true) => remains(database).await.with_context(place)?,
            _ => harden::script(&names).with_context(place)?,
        };
    }
    if on_servers().next().is_none() {
        answer += "nothing to harden: SQLite has no logins; carya asks its authorizer about every statement of a \
                   guest, with a list of what is allowed\n";
    } else if check {
        ensure!(answer.is_empty(), "guests' logins may do more than they need\n{}", answer.trim_end());
        answer += "nothing is missing\n";
    }
    Ok(answer)
}

/// Runs the script as the owner, and reports the remaining findings.
async fn run(names: &Names, database: &config::Database) -> anyhow::Result<String> {
    let admin = database
        .admin_url
        .as_ref()
        .context("the owner's login is missing: set admin_url, or run what `carya harden` prints as the owner")?;
    let mut answer = String::new();
    let left = match database.dialect {
        Dialect::MySql => "harden stopped; it can be run again",
        _ => "harden stopped, and nothing was changed",
    };
    harden::apply(names, admin, |group| eprintln!("applied: {group}")).await.context(left)?;
    writeln!(answer, "hardened {}", names.database)?;
    let remains = remains(database).await?;
    answer += if remains.is_empty() { "nothing is missing\n" } else { &remains };
    Ok(answer)
}

/// Returns a line for each finding: a privilege that guests do not need, or a restriction that is missing.
async fn remains(database: &config::Database) -> anyhow::Result<String> {
    let findings = harden::missing(database)
        .await
        .context("the guests' logins cannot be asked; `carya harden --apply` makes them and sets their passwords")?;
    Ok(findings.iter().map(|finding| format!("missing: {finding}\n")).collect())
}
