//! The command line: commands, options, exit codes. The output of a command goes to standard output, everything else to
//! standard error.

mod certificates;
mod check;
mod client;
mod deploy;
mod dev;
mod diff;
mod harden;
mod input;
mod migrate;
mod new;
mod outbox;
mod output;
mod serve;
mod signals;
mod test;

use std::{ffi::OsString, fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::{
    input::{load, load_sources},
    output::print,
};
use crate::{
    allocator,
    app::format_error,
    component::{Engine, Inspection},
    config::{self, DifferenceKind, Problems},
    telemetry::{self, AccessFormat, Format},
    testing::Product,
};

/// Serves sandboxed controllers and hooks, and owns the database transaction of every request.
#[derive(Debug, Parser)]
#[command(name = "carya", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Format of log lines.
    #[arg(long, value_enum, default_value = "text", global = true, env = "CARYA_LOG_FORMAT")]
    log_format: Format,
}

const EXIT_CODES: &str =
    "Exit codes: 0 success; 1 the command failed; 2 the command line or the configuration is wrong.
Logging: CARYA_LOG=info (or debug, carya::sql=info, guest=debug, ...).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an application. SIGHUP reloads it.
    Serve {
        #[command(flatten)]
        config: ConfigArg,
        /// Reload when the configuration, a component, a template or a migration changes.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        access: AccessArg,
    },
    /// Serve an application in development: build its components from their sources and reload after every change.
    Dev {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        access: AccessArg,
    },
    /// Serve an application on throw-away databases, and run its tests against it. The tests find it at CARYA_TEST_URL.
    Test {
        #[command(flatten)]
        config: ConfigArg,
        /// Keep the databases, and print where they are.
        #[arg(long, conflicts_with = "start")]
        keep: bool,
        /// Start a private server from the installed packages for the databases of this kind; repeatable.
        #[arg(long, value_name = "PRODUCT", value_enum)]
        start: Vec<Product>,
        /// Run the tests again after each change to a file of the project.
        #[arg(long)]
        watch: bool,
        /// The command that runs the tests, and its arguments; by default `[test] command`.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Validate an application as serve does, without changing a database or listening.
    Check {
        #[command(flatten)]
        config: ConfigArg,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the effective configuration as TOML, with the origin of each value. Passwords, tokens and settings of
    /// components are hidden.
    Config {
        #[command(flatten)]
        config: ConfigArg,
        /// Print the JSON schema of the configuration file instead, for editors.
        #[arg(long)]
        schema: bool,
    },
    /// Print the exports, imports and capabilities of a component.
    Inspect {
        /// The file of the component.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare the routes, components and capabilities of two configurations.
    Diff {
        /// The served configuration.
        old: PathBuf,
        /// The configuration to serve next.
        new: PathBuf,
        /// Fail if a difference of this kind exists, such as `component-gains-writer`; repeatable.
        #[arg(long, value_name = "KIND", value_parser = diff::kind)]
        deny: Vec<DifferenceKind>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the routes of an application, with their hooks in the order of execution.
    Routes {
        #[command(flatten)]
        config: ConfigArg,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Upload an application to a running host and activate it.
    Deploy {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        host: deploy::Host,
        /// Only upload it and print the differences; fails if the host would refuse the activation.
        #[arg(long, visible_alias = "dry-run")]
        no_activate: bool,
    },
    /// List the generations of a running host.
    Generations {
        #[command(flatten)]
        host: deploy::Host,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Activate the previous generation of a running host.
    Rollback {
        #[command(flatten)]
        host: deploy::Host,
    },
    /// Create a project with a configuration, a controller, a hook and a migration.
    New {
        /// Name of the project, or of the hook, and of its new folder.
        #[arg(value_parser = new::name)]
        name: String,
        /// Add a hook to the project in the current folder.
        #[arg(long, conflicts_with = "lang")]
        hook: bool,
        /// Language of the project's guests.
        #[arg(long, value_enum, default_value_t)]
        lang: new::Language,
    },
    /// Print SQL that creates logins for guests with minimal rights, on PostgreSQL and MySQL.
    Harden {
        #[command(flatten)]
        config: ConfigArg,
        /// Run the SQL with database.admin_url, set the configured passwords, and list remaining findings.
        #[arg(long, conflicts_with = "check")]
        apply: bool,
        /// Only list findings; fails if there are any.
        #[arg(long)]
        check: bool,
        /// Only this database; `default` is the one of [database].
        #[arg(long, value_name = "NAME")]
        database: Option<String>,
    },
    /// Inspect and repair the outbox: `at-least-once` actions that are not delivered yet.
    Outbox {
        #[command(subcommand)]
        command: outbox::Command,
    },
    /// Run pending migrations.
    Migrate {
        #[command(flatten)]
        config: ConfigArg,
        /// Only list the pending migrations.
        #[arg(long)]
        dry_run: bool,
        /// Save the database, delete everything in it, and run all migrations, for development. On a server, repeat the
        /// database's name. Refused while a host serves it.
        #[arg(
            long,
            value_name = "DATABASE_NAME",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "",
            conflicts_with = "dry_run"
        )]
        reset: Option<String>,
        /// Only this database; `default` is the one of [database].
        #[arg(long, value_name = "NAME")]
        database: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct ConfigArg {
    /// The configuration file.
    #[arg(long, short, default_value = "carya.toml", env = "CARYA_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct AccessArg {
    /// Form of the access log: records of the log, the same with all fields, lines in the combined log format on standard
    /// output, or none.
    #[arg(long, value_enum, default_value = "short", env = "CARYA_ACCESS_LOG")]
    access_log: AccessFormat,
}

/// Runs a command, and prints its error.
pub async fn execute(cli: Cli) -> ExitCode {
    allocator::limit_retained();
    let result = dispatch(cli).await.and_then(|output| print(&output));
    telemetry::end();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The error may quote a guest or a server.
            eprintln!("error: {}", telemetry::printable(&format_error(&error)));
            ExitCode::from(match error.downcast_ref::<test::Failed>() {
                Some(failed) => failed.code(),
                None if error.is::<Problems>() => 2,
                None => 1,
            })
        }
    }
}

/// Runs a command and returns its output.
async fn dispatch(cli: Cli) -> anyhow::Result<String> {
    match cli.command {
        Command::Serve { config, watch, access } => {
            telemetry::log_access_as(access.access_log);
            serve::serve(&config.config, cli.log_format, watch).await.map(|()| String::new())
        }
        Command::Dev { config, access } => {
            telemetry::log_access_as(access.access_log);
            dev::dev(&config.config, cli.log_format).await.map(|()| String::new())
        }
        Command::Test { config, keep, start, watch, command } => {
            let options = test::Options { command, start, keep, watch };
            test::test(&config.config, cli.log_format, &options).await.map(|()| String::new())
        }
        Command::Check { config, json } => {
            check::check(load_sources(&config.config, cli.log_format).await?, json).await
        }
        Command::Routes { config, json } => {
            check::routes(load_sources(&config.config, cli.log_format).await?, json).await
        }
        Command::Diff { old, new, deny, json } => diff::diff(&old, &new, &deny, json, cli.log_format).await,
        Command::Config { schema: true, .. } => Ok(format!("{:#}\n", config::schema())),
        Command::Config { config, schema: false } => Ok(config::effective(&config.config)?),
        Command::Inspect { file, json } => inspect(file, json).await,
        Command::Harden { config, apply, check, database } => {
            harden::harden(&load(&config.config, cli.log_format)?, apply, check, database.as_deref()).await
        }
        Command::Deploy { config, host, no_activate } => deploy::deploy(&config.config, &host, !no_activate).await,
        Command::Generations { host, json } => deploy::generations(&host, json).await,
        Command::Rollback { host } => deploy::rollback(&host).await,
        Command::New { name, hook: true, .. } => new::hook::add(&name),
        Command::New { name, lang, .. } => new::project(&name, lang),
        Command::Outbox { command } => {
            outbox::outbox(&load(&command.which().config.config, cli.log_format)?, &command).await
        }
        Command::Migrate { config, dry_run, reset, database, json } => {
            let config = load(&config.config, cli.log_format)?;
            match reset {
                Some(name) => migrate::reset(&config, &name, database.as_deref(), json).await,
                None => migrate::migrate(&config, dry_run, database.as_deref(), json).await,
            }
        }
    }
}

async fn inspect(file: PathBuf, json: bool) -> anyhow::Result<String> {
    let component = config::ComponentConfig::of(file);
    let engine = Engine::for_trials(component.memory, &config::defaults()?.server)?;
    let file = component.path.clone();
    let Inspection { capabilities: found, not_merged, problem } = engine.inspect(component).await?;
    let mut answer = String::new();
    if json {
        let problem = problem.as_ref().map(ToString::to_string);
        let routes: Vec<_> = found.routes.lines().collect();
        let mut all = serde_json::json!({
            "file": file, "may": found.summary, "routes": routes, "exports": found.exports, "imports": found.imports
        });
        for (key, reason) in [("not_merged", not_merged), ("problem", problem)] {
            if let Some(reason) = reason {
                all[key] = reason.into();
            }
        }
        writeln!(answer, "{all:#}")?;
    } else {
        writeln!(answer, "{}", file.display())?;
        let routes = found.routes.lines().collect();
        let lists = [
            ("may", found.summary),
            ("routes", routes),
            ("exports", found.exports),
            ("imports", found.imports),
            ("core modules are not merged", Vec::from_iter(not_merged)),
        ];
        for (title, lines) in lists {
            if lines.is_empty() && !["exports", "imports"].contains(&title) {
                continue;
            }
            writeln!(answer, "  {title}")?;
            for line in lines {
                writeln!(answer, "    {line}")?;
            }
        }
    }
    match problem {
        None => Ok(answer),
        Some(problem) => {
            print(&answer)?;
            Err(problem.into())
        }
    }
}
