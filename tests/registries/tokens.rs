//! A registry that requires a token of another service, as public registries do.

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::{TYPE, check};
use crate::support::{Result, Wrong, check_eq, module};

/// Basic credentials `ann:hickory`.
const ANN: &str = "Basic YW5uOmhpY2tvcnk=";

#[derive(Clone)]
struct Service {
    host: String,
    /// The service's response to a client with the right credentials.
    token: Value,
    manifest: Vec<u8>,
    component: Vec<u8>,
}

fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

async fn answer(State(service): State<Service>, request: Request) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if path == "/token" {
        let is_right = query == "scope=repository%3Ashop%2Fecho%3Apull&service=the+registry" && said == ANN;
        let status = if is_right { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        return (status, if is_right { service.token.to_string() } else { String::new() }).into_response();
    }
    if said != "Bearer pecan" {
        let place = format!(
            "Bearer realm=\"http://{}/token\",service=\"the registry\",scope=\"repository:shop/echo:pull\"",
            service.host
        );
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, place)]).into_response();
    }
    match path.starts_with("/v2/shop/echo/manifests/") {
        true => ([("docker-content-digest", digest(&service.manifest))], service.manifest).into_response(),
        false => service.component.into_response(),
    }
}

async fn start(token: Value) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (host, component) = (listener.local_addr()?.to_string(), module::echo("one ")?);
    let layer = json!({ "mediaType": TYPE, "digest": digest(&component), "size": component.len() });
    let manifest = serde_json::to_vec(&json!({ "schemaVersion": 2, "config": {}, "layers": [layer] }))?;
    let service = Service { host: host.clone(), token, manifest, component };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(service)).await });
    Ok(host)
}

#[tokio::test]
async fn a_token_is_requested_from_the_service_of_the_registry() -> Result {
    let both = json!({ "token": "pecan", "access_token": "pecan", "expires_in": 60 });
    let mut wrong = Wrong::default();
    for token in [json!({ "token": "pecan" }), json!({ "access_token": "pecan" }), both] {
        let host = start(token.clone()).await?;
        let reference = format!("oci://{host}/shop/echo:1");
        let login = |password: &str| format!("[registry.\"{host}\"]\nusername = \"ann\"\npassword = \"{password}\"\n");
        check_eq!(wrong, check(&reference, &login("hickory")).await?, (Some(0), String::new()), "{token:?}");
        for more in [String::new(), login("walnut")] {
            let (code, error) = check(&reference, &more).await?;
            check!(
                wrong,
                code == Some(1) && error.contains("Authentication failure; set username and password"),
                "{token:?}: {error}"
            );
        }
    }
    for (token, words) in
        [(Value::Null, "Failed to decode registry token"), (json!("pe\ncan"), "is not valid in a header")]
    {
        let host = start(json!({ "token": token })).await?;
        let login = format!("[registry.\"{host}\"]\nusername = \"ann\"\npassword = \"hickory\"\n");
        let (code, error) = check(&format!("oci://{host}/shop/echo:1"), &login).await?;
        check!(wrong, code == Some(1) && error.contains(words), "{token:?}: {error}");
    }
    Ok(())
}
