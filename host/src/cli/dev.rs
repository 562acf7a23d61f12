//! `carya dev`: `carya serve --watch` for developers of components. It also builds components when their sources
//! change, and prints the result of each change.

mod builder;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Mutex;

use self::builder::Builder;
use super::{
    check, load,
    serve::{self, Audience},
    signals::Signals,
};
use crate::{
    app,
    generation::Generation,
    reload::{Change, told},
    task,
    telemetry::Format,
};

/// Builds missing components, then serves and builds until a signal requests the end.
pub(super) async fn dev(path: &Path, format: Format) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut builder = Builder::new(path, load(path, format)?)?;
    let reading = async {
        builder.until_all_are_there().await;
        // The configuration may have changed during the builds.
        app::read(path).await
    };
    let Some(config) = signals.unless_ended(reading).await? else { return Ok(()) };
    let builder = Arc::new(Mutex::new(builder));
    tokio::spawn(task::persist("build", move || {
        let builder = builder.clone();
        async move { builder.lock().await.run().await }
    }));
    serve::run(path, config, None, Some(Audience { begun, changed }), signals).await
}

fn begun(address: SocketAddr, generation: &Generation) {
    say(&format!("serving http://{address}, generation {}\n{}", generation.id, routes(generation)));
}

fn changed(change: &anyhow::Result<Change>, served: &Generation) {
    match change {
        Ok(Change { generation, files, differences, took }) => {
            let (now, before) = (routes(generation), routes(served));
            let routes = if now == before { "with the same routes\n".to_owned() } else { format!("with other\n{now}") };
            let what = if files.is_empty() { "nothing".to_owned() } else { list(files) };
            say(&format!("{what} changed: served after {}, generation {}, {routes}", time(*took), generation.id));
            differences.iter().filter(|difference| difference.kind.widens()).for_each(|new| say(&format!("! {new}\n")));
        }
        Err(error) => say(&format!("not served: {}\ngeneration {} is served on\n", told(error), served.id)),
    }
}

/// Formats the routes as `carya routes` does.
fn routes(generation: &Generation) -> String {
    check::routes_as_text(&generation.config, generation).unwrap_or_default()
}

/// Prints to standard output. Ignores errors: `dev` continues without a reader.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Formats up to three files by name, and the number of further ones.
fn list(files: &[PathBuf]) -> String {
    match files {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            let (first, second, third) = (first.display(), second.display(), third.display());
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        _ => files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
