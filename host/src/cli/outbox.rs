//! `carya outbox`: lists, shows, retries and removes `at-least-once` actions that the host has not delivered yet.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::ConfigArg;
use crate::{
    config::{self, Config},
    database::Database,
    outbox::{self, Listed},
    sql::error::DbError,
    telemetry::{excerpt, printable},
};

/// Maximum length of a payload in a list, in bytes.
const MAX_PAYLOAD: usize = 60;

#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// Only this database; `default` is the one of [database].
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the actions, the oldest first, at most 1,000 of each database.
    List {
        #[command(flatten)]
        which: Which,
        /// Only dead actions: those that have failed `max_attempts` times.
        #[arg(long)]
        dead: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print an action with its payload.
    Show {
        #[command(flatten)]
        which: Which,
        /// Id of the action.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run actions again now, with `max_attempts` further attempts.
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Remove actions. They are not run again.
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        chosen: Chosen,
    },
}

/// Actions that a command changes.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Chosen {
    /// Ids of the actions.
    ids: Vec<String>,
    /// All dead actions.
    #[arg(long)]
    all_dead: bool,
}

impl Command {
    /// Returns the argument that names the configuration and the database.
    pub(super) fn which(&self) -> &Which {
        match self {
            Self::List { which, .. } | Self::Show { which, .. } => which,
            Self::Retry { which, .. } | Self::Drop { which, .. } => which,
        }
    }
}

/// Runs a command, and returns its output.
pub(super) async fn outbox(config: &Config, command: &Command) -> anyhow::Result<String> {
    let databases = open(config, command.which().database.as_deref()).await?;
    match command {
        Command::List { dead, json, .. } => {
            let mut found = Vec::new();
            for (name, database) in &databases {
                let listed = outbox::list(database, None, *dead).await.with_context(|| config::section_of(name))?;
                found.extend(listed.into_iter().map(|action| (name.as_str(), action)));
            }
            Ok(if *json { as_json(&found) } else { as_lines(&found) })
        }
        Command::Show { id, json, .. } => {
            for (name, database) in &databases {
                if let Some(action) = outbox::list(database, Some(id), false).await?.pop() {
                    return Ok(if *json { as_json(&[(name, action)]) } else { in_full(name, &action) });
                }
            }
            bail!("there is no action {id} in the outbox; it has succeeded, was removed, or is in another database")
        }
        Command::Retry { chosen, .. } => {
            let changed = change(&databases, chosen, async |database, ids| outbox::retry(database, ids).await).await?;
            Ok(format!("{changed} will be run again\n"))
        }
        Command::Drop { chosen, .. } => {
            let changed =
                change(&databases, chosen, async |database, ids| outbox::drop_all(database, ids).await).await?;
            Ok(format!("{changed} removed\n"))
        }
    }
}

/// Opens the databases that have an outbox, or only the one with the given name.
async fn open(config: &Config, only: Option<&str>) -> anyhow::Result<Vec<(String, Database)>> {
    if let Some(only) = only {
        ensure!(config.all_databases().any(|(name, _)| name == only), "there is no {}", config::section_of(only));
    }
    let mut opened = Vec::new();
    for (name, settings) in config.all_databases().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        // A database that does not exist has no actions, and a command that lists them must not create it.
        let cannot = || config.place(&config::url_key(name)).problem("cannot be opened");
        if !Database::exists(settings).await.with_context(cannot)? {
            continue;
        }
        let database = Database::open(name, settings).await.with_context(cannot)?;
        if outbox::is_created(&database).await.with_context(cannot)? {
            opened.push((name.to_owned(), database));
        }
    }
    ensure!(!opened.is_empty(), "there is no outbox: a host creates it at its start if a component runs actions");
    Ok(opened)
}

/// Changes actions in all databases, and returns their number in words.
async fn change(
    databases: &[(String, Database)],
    Chosen { ids, all_dead }: &Chosen,
    apply: impl AsyncFn(&Database, &[String]) -> Result<u64, DbError>,
) -> anyhow::Result<String> {
    let mut changed = 0;
    for (name, database) in databases {
        changed += apply(database, ids).await.with_context(|| config::section_of(name))?;
    }
    ensure!(changed > 0 || *all_dead, "there is no such action in the outbox: {}", ids.join(", "));
    Ok(match changed {
        1 => "1 action".to_owned(),
        many => format!("{many} actions"),
    })
}

fn as_json(found: &[(&str, Listed)]) -> String {
    let action = |(database, action): &(&str, Listed)| -> Json {
        json!({
            "database": database,
            "id": action.id,
            "component": action.component,
            "name": action.name,
            "payload": action.payload,
            "request": action.request,
            "state": action.state,
            "attempts": action.attempts,
            "registered_at": action.registered_at,
            "due_in_ms": action.due_in.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        })
    };
    format!("{:#}\n", found.iter().map(action).collect::<Json>())
}

fn as_lines(found: &[(&str, Listed)]) -> String {
    let mut text = String::new();
    for (database, action) in found {
        let Listed { id, component, name, payload, state, attempts, .. } = action;
        let (payload, age) = (excerpt(payload, MAX_PAYLOAD), age(action));
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{id}  {state}  {attempts} attempts  {age}  {database}  {component}.{name}  {payload}");
    }
    // Guests choose names and payloads.
    if text.is_empty() { "the outbox is empty\n".to_owned() } else { printable(&text) }
}

fn in_full(database: &str, action: &Listed) -> String {
    let Listed { id, component, name, payload, request, state, attempts, due_in, .. } = action;
    let next = match due_in {
        Some(left) => format!("in {}", words(*left)),
        None if state == "dead" => "never".to_owned(),
        None => "now".to_owned(),
    };
    let age = age(action);
    printable(&format!(
        "id         {id}\ndatabase   {database}\ncomponent  {component}\nname       {name}\nrequest    {request}\n\
         state      {state}\nattempts   {attempts}\nage        {age}\nnext       {next}\npayload    {payload}\n"
    ))
}

/// Returns the time since an action was registered, in words.
fn age(action: &Listed) -> String {
    let Some(at) = u64::try_from(action.registered_at).ok().filter(|at| *at > 0) else { return "unknown".to_owned() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    words(now.saturating_sub(Duration::from_millis(at)))
}

/// Returns a duration in its largest unit.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
