//! `carya harden`: prints, runs and checks the SQL by which guests' logins have no powers.

use std::{fmt::Write, time::Duration};

use anyhow::Context;

use crate::{
    config::{self, Config, Dialect},
    database::harden::{self, Names},
};

/// How much longer than a request a transaction may stand idle before the server ends it.
const IDLE_MARGIN: Duration = Duration::from_secs(5);

/// Prints the script; or runs it, or only checks, and tells what is missing.
pub(super) async fn harden(config: &Config, apply: bool, check: bool) -> anyhow::Result<String> {
    let Some(database) = &config.database else { anyhow::bail!("there is nothing to harden: set database.url") };
    if database.dialect == Dialect::Sqlite {
        return Ok("nothing to harden: SQLite has no logins; carya asks its authorizer about every statement of a \
                   guest, with a list of what is allowed\n"
            .to_owned());
    }
    let names = Names::of(database, config.server.request_timeout + IDLE_MARGIN)?;
    if check {
        let answer = remains(database).await?;
        anyhow::ensure!(answer.is_empty(), "guests' logins may do more than they need\n{}", answer.trim_end());
        return Ok("nothing is missing\n".to_owned());
    }
    if !apply {
        return Ok(harden::script(&names));
    }
    let admin = database.admin_url.as_ref().context(
        "the owner's login is missing: set database.admin_url, or run what `carya harden` prints as the owner",
    )?;
    let mut answer = String::new();
    let left = match database.dialect {
        Dialect::MySql => "harden stopped; it can be run again",
        _ => "harden stopped, and nothing was changed",
    };
    harden::apply(&names, admin, |group| eprintln!("applied: {group}")).await.context(left)?;
    writeln!(answer, "hardened {}", names.database)?;
    let remains = remains(database).await?;
    answer += if remains.is_empty() { "nothing is missing\n" } else { &remains };
    Ok(answer)
}

/// A line for each finding.
async fn remains(database: &config::Database) -> anyhow::Result<String> {
    let findings = harden::missing(database)
        .await
        .context("the guests' logins cannot be asked; `carya harden --apply` makes them and sets their passwords")?;
    Ok(findings.iter().map(|finding| format!("missing: {finding}\n")).collect())
}
