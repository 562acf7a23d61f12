//! Outbound HTTP: which requests guests may send, where, and when.

mod gate;
mod limits;
mod lists;
mod tls;

use crate::support::{App, Result, upstream::Upstream};

/// Returns a configuration in which the guest `caller` serves the routes `/plain`, `/read` and `/write` as `it`. `host` is
/// the content of `[outbound]`, and `own` adds keys to the component.
fn config(host: &str, own: &str) -> String {
    format!(
        r#"
        [outbound]
        {host}
        [component.it]
        path = "{{guest:caller}}"
        {own}
        [component.it.settings]
        name = "it"
        [[route]]
        path = "/plain"
        component = "it"
        transaction = "none"
        [[route]]
        path = "/rw"
        component = "it"
        "#
    )
}

/// Serves [`config`] with `http` and `allow` for the upstream. `more` is added to `[outbound]`, and `own` to the component.
async fn serve(upstream: &Upstream, more: &str, own: &str) -> Result<App> {
    let to = upstream.url("");
    let host = format!("allow = [\"{to}\"]\nallow_private = true\n{more}");
    App::start(&config(&host, &format!("http = [\"{to}\"]\n{own}")), &[]).await
}

/// Runs a script in the plain controller, and returns its results.
async fn plain(app: &App, script: &str) -> Result<String> {
    let answer = app.request("GET", "/plain").query(&[("it.plain", script)]).send().await?;
    assert_eq!(answer.status(), 200, "{script}");
    Ok(answer.text().await?)
}
