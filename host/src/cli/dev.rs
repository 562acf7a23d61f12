//! `carya dev`: `carya serve --watch` for developers of components. It also builds components when their sources
//! change, and prints the result of each change.

mod builder;
mod output;

use std::{path::Path, sync::Arc};

use tokio::sync::Mutex;

use self::output::time;
pub(super) use self::{
    builder::Builder,
    output::{list, print},
};
use super::{
    check,
    input::load,
    serve::{self, Callbacks},
    signals::Signals,
};
use crate::{
    app::{Application, format_error},
    config::Listen,
    generation::Generation,
    reload::Change,
    task,
    telemetry::Format,
};

/// Builds missing components, then serves and builds until a signal requests the end.
pub(super) async fn dev(path: &Path, format: Format) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut builder = Builder::new(path, load(path, format)?)?;
    let reading = async {
        builder.until_all_are_there().await;
        // Read the configuration again, because it may have changed during the builds.
        Ok(Application::read(path, None)?.pull().await?)
    };
    let Some(sources) = signals.unless_ended(reading).await? else { return Ok(()) };
    let builder = Arc::new(Mutex::new(builder));
    tokio::spawn(task::persist("build", move || {
        let builder = builder.clone();
        async move { builder.lock().await.build_on_changes().await }
    }));
    serve::start(path, sources, None, Some(Callbacks { begun, changed }), signals).await
}

fn begun(addresses: &[Listen], generation: &Generation) {
    let scheme = if generation.config.server.has_tls() { "https" } else { "http" };
    let url = |listen: &Listen| match listen {
        Listen::Tcp(address) => format!("{scheme}://{address}"),
        Listen::Unix(_) => listen.to_string(),
    };
    let urls = addresses.iter().map(url).collect::<Vec<_>>().join(", ");
    print(&format!("serving {urls}, generation {}\n{}", generation.id, routes(generation)));
}

fn changed(change: &anyhow::Result<Change>, served: &Generation) {
    match change {
        Ok(Change { generation, files, differences, took }) => {
            let (now, before) = (routes(generation), routes(served));
            let routes = if now == before { "with the same routes\n".to_owned() } else { format!("with other\n{now}") };
            let what = if files.is_empty() { "nothing".to_owned() } else { list(files) };
            print(&format!("{what} changed: served after {}, generation {}, {routes}", time(*took), generation.id));
            differences
                .iter()
                .filter(|difference| difference.kind.widens())
                .for_each(|new| print(&format!("! {new}\n")));
        }
        Err(error) => print(&format!("not served: {}\ngeneration {} stays\n", format_error(error), served.id)),
    }
}

/// Formats the routes as `carya routes` does.
fn routes(generation: &Generation) -> String {
    check::routes_as_text(generation).unwrap_or_default()
}
