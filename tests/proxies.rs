//! The client behind trusted proxies, as guests and the access log see it.

mod protocol;

use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::{
    script::{ROUTE, start_with},
    support::{App, Engine, PATIENCE, Result, Wrong, check_eq, servers::Front},
};

/// Sends an `echo` by curl with headers. Returns the client's address, the scheme and the authority that the guest reads.
async fn echo(app: &App, args: &[&str], headers: &[&str]) -> Result<(Json, Json, Json)> {
    echo_at(app.address(), args, headers).await
}

async fn echo_at(address: &str, args: &[&str], headers: &[&str]) -> Result<(Json, Json, Json)> {
    let mut command = Command::new("curl");
    command.args(["-sS", "-d", r#"[{"echo":true}]"#, "-H", "host: own.test"]).args(args);
    for header in headers {
        command.args(["-H", header]);
    }
    command.arg(format!("http://{address}/x"));
    let ran = tokio::time::timeout(PATIENCE, command.output()).await??;
    let echo = serde_json::from_slice::<Json>(&ran.stdout).map_err(|error| format!("{error}: {ran:?}"))?[0].clone();
    Ok((echo["client_address"].clone(), echo["scheme"].clone(), echo["authority"].clone()))
}

#[tokio::test]
async fn only_the_headers_of_trusted_proxies_count() -> Result {
    let forwarded = ["x-forwarded-for: 6.6.6.6, 192.0.2.7", "x-forwarded-proto: https", "x-forwarded-host: shop.test"];
    let standard = ["forwarded: for=6.6.6.6, for=\"[2a00::7]:80\";proto=https;host=shop.test"];
    let mut wrong = Wrong::default();
    let own = (json!("127.0.0.1"), json!("http"), json!("own.test"));
    for trusted in ["", "trusted_proxies = ['10.0.0.0/8', '::1']"] {
        let app = start_with(Engine::Sqlite, &format!("{ROUTE}[server]\n{trusted}"), &[]).await?;
        for headers in [forwarded.as_slice(), &standard] {
            check_eq!(wrong, echo(&app, &[], headers).await?, own, "{trusted} {headers:?}");
        }
    }
    let config = format!("{ROUTE}[server]\ntrusted_proxies = ['10.0.0.0/8', '127.0.0.1']");
    let both = [&forwarded[..], &standard].concat();
    let client = |address: &str| (json!(address), json!("https"), json!("shop.test"));
    for (kind, set, passed_on, address, hidden) in [
        ("", forwarded.as_slice(), standard.as_slice(), "192.0.2.7", "x-forwarded-for: unknown"),
        ("proxy_headers = 'forwarded'", &standard, &forwarded, "2a00::7", "forwarded: for=unknown"),
    ] {
        let app = start_with(Engine::Sqlite, &format!("{config}\n{kind}"), &[]).await?;
        for http in [[].as_slice(), &["--http2-prior-knowledge"]] {
            check_eq!(wrong, echo(&app, http, set).await?, client(address), "{kind} {http:?}");
            check_eq!(wrong, echo(&app, http, &both).await?, client(address), "{kind} {http:?} with both");
            check_eq!(wrong, echo(&app, http, passed_on).await?, own, "{kind} {http:?} of the client");
            check_eq!(wrong, echo(&app, http, &[]).await?, own, "{kind} {http:?} without headers");
            let unknown = (Json::Null, json!("http"), json!("own.test"));
            check_eq!(wrong, echo(&app, http, &[hidden]).await?, unknown, "{kind} {http:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_access_log_has_the_client_and_a_reload_changes_the_proxies() -> Result {
    let config = format!("{ROUTE}[server]\ntrusted_proxies = ['127.0.0.1']");
    let app = start_with(Engine::Sqlite, &config, &[("CARYA_ACCESS_LOG", "full")]).await?;
    let headers = |id| [format!("x-request-id: {id}"), "x-forwarded-for: 192.0.2.7".to_owned()];
    let client = async |id: &'static str| -> Result<Json> {
        echo(&app, &[], &headers(id).each_ref().map(String::as_str)).await?;
        let is_it = |line: &Json| line["target"] == "carya::access" && line["request"] == id;
        Ok(app.log.wait_until(id, is_it).await?["client"].clone())
    };
    assert_eq!(client("trusted").await?, "192.0.2.7");
    let file = app.folder.path().join("carya.toml");
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace("['127.0.0.1']", "[]"))?;
    app.signal("HUP").await?;
    app.log.wait_for("a new generation is served").await?;
    assert_eq!(client("ignored").await?, "127.0.0.1");
    Ok(())
}

/// Directives of nginx as in the guide.
const DIRECTIVES: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;";

#[tokio::test]
async fn the_client_behind_nginx_is_found() -> Result {
    let config = format!("{ROUTE}[server]\ntrusted_proxies = ['127.0.0.1']");
    let app = start_with(Engine::Sqlite, &config, &[]).await?;
    let Some(nginx) = Front::nginx(app.address(), DIRECTIVES).await? else { return Ok(()) };
    // The client has another address than nginx, and forges one more.
    let args = ["--interface", "127.0.0.2"];
    let expected = (json!("127.0.0.2"), json!("http"), json!("own.test"));
    let mut wrong = Wrong::default();
    let forged = ["x-forwarded-for: 6.6.6.6", "x-forwarded-proto: https", "x-forwarded-host: evil"];
    for headers in [[].as_slice(), &forged, &["forwarded: for=6.6.6.6;proto=https;host=evil"]] {
        check_eq!(wrong, echo_at(nginx.address(), &args, headers).await?, expected, "{headers:?}");
    }
    Ok(())
}
