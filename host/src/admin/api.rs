//! Routes of the admin API. If `deploy.token` is set, every request needs the token, also a request to an unknown path.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, BodyDataStream, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, head, post},
};
use futures_util::StreamExt;
use hyper::body::Body as _;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use super::{diff, problem::Problem};
use crate::{
    app::format_error,
    component::{Capabilities, Component},
    deploy::{Digest, Error, Id, Manifest, Step, Store},
    diff::Difference,
    fleet::{Fleet, tables::Member},
    reload::{self, Change, Comparison, Reloader},
};

/// Maximum size of the JSON of a manifest, in bytes.
const MAX_MANIFEST: usize = 8 << 20;
/// Maximum time between two parts of an upload's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

type Answer = Result<Response, Problem>;

#[derive(Clone)]
struct Api {
    /// Digest of the token. Digests have equal lengths, which the comparison in constant time requires.
    token: Option<Digest>,
    store: Arc<Store>,
    reloader: Arc<Reloader>,
    fleet: Option<Arc<Fleet>>,
}

pub(super) fn router(
    token: Option<&str>,
    store: Arc<Store>,
    reloader: Arc<Reloader>,
    fleet: Option<Arc<Fleet>>,
) -> Router {
    let api = Api { token: token.map(|token| Digest::of(token.as_bytes())), store, reloader, fleet };
    Router::new()
        .route("/blobs/{digest}", head(find).put(upload))
        .route("/generations", get(list))
        .route("/generations/{id}", get(show).put(put_generation))
        .route("/generations/{id}/diff/{other}", get(compare))
        .route("/generations/{id}/activate", post(activate))
        .route("/rollback", post(roll_back))
        .route("/collect", post(collect))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "This path does not exist."))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not serve this method.")
        })
        .layer(middleware::from_fn_with_state(api.clone(), admit))
        .with_state(api)
}

/// Responds with 401 to a request without the right bearer token. Without `deploy.token` every request passes.
async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    if let Some(token) = api.token {
        let given = Digest::of(bearer_token(request.headers()).unwrap_or_default());
        if !bool::from(token.as_bytes().ct_eq(given.as_bytes())) {
            tracing::warn!(method = %request.method(), path = request.uri().path(), "refused: wrong or missing token");
            return Problem::new(StatusCode::UNAUTHORIZED, "This request needs the token of deploy.token.")
                .into_response();
        }
    }
    next.run(request).await
}

/// Returns the token of an `Authorization` header. The scheme is case-insensitive, and one or more spaces follow it (RFC
/// 9110, section 11.4).
fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(b"Bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && token.starts_with(b" ");
    is_bearer.then(|| token.trim_ascii_start())
}

/// Runs work on files on the blocking pool, away from the threads that serve requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

async fn find(State(api): State<Api>, Path(digest): Path<String>) -> Answer {
    let digest: Digest = digest.parse()?;
    let status = if api.store.has(digest) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok(status.into_response())
}

/// Waits for the next piece of a body, at most [`BODY_TIMEOUT`].
async fn next(body: &mut BodyDataStream) -> Result<Option<Bytes>, Problem> {
    let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The file took too long to arrive.");
    let cut = |error| Problem::new(StatusCode::BAD_REQUEST, format!("The file did not arrive: {error}"));
    timeout(BODY_TIMEOUT, body.next()).await.map_err(slow)?.transpose().map_err(cut)
}

async fn upload(State(api): State<Api>, Path(digest): Path<String>, body: Body) -> Answer {
    let digest: Digest = digest.parse()?;
    let mut upload = api.store.receive(digest).await?;
    upload.announce(body.size_hint().lower())?;
    let mut body = body.into_data_stream();
    while let Some(bytes) = next(&mut body).await? {
        upload = upload.write(bytes).await?;
    }
    upload.finish().await?;
    answer(StatusCode::CREATED, &json!({ "digest": digest }))
}

async fn put_generation(State(api): State<Api>, Path(id): Path<String>, body: Body) -> Answer {
    let id: Id = id.parse()?;
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("A manifest may have at most {MAX_MANIFEST} bytes."));
    if body.size_hint().lower() > MAX_MANIFEST as u64 {
        return Err(too_large());
    }
    let (mut body, mut json) = (body.into_data_stream(), Vec::new());
    while let Some(bytes) = next(&mut body).await? {
        if json.len() + bytes.len() > MAX_MANIFEST {
            return Err(too_large());
        }
        json.extend_from_slice(&bytes);
    }
    let manifest: Manifest = serde_json::from_slice(&json).map_err(|error| Error::Invalid(error.to_string()))?;
    if manifest.id != id {
        return Err(
            Error::Invalid(format!("the manifest is that of generation {} and not of {id}", manifest.id)).into()
        );
    }
    let is_new = blocking(move || api.store.put(&manifest)).await?;
    answer(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &json!({ "id": id, "new": is_new }))
}

/// Returns the generation that was active before `id`, or `None` if `id` is not in the history or is its first entry.
fn predecessor<'a>(history: &'a [Id], id: &Id) -> Option<&'a Id> {
    let at = history.iter().rposition(|other| other == id)?;
    history.get(at.checked_sub(1)?)
}

async fn list(State(api): State<Api>) -> Answer {
    let store = api.store.clone();
    let (manifests, history) = blocking(move || Ok((store.manifests()?, store.history()?))).await?;
    let one = |manifest: &Manifest| {
        json!({
            "id": manifest.id,
            "created_at": manifest.created_at,
            "files": manifest.files.len(),
            "active": history.last() == Some(&manifest.id),
            "predecessor": predecessor(&history, &manifest.id),
        })
    };
    let all: Vec<Value> = manifests.iter().rev().map(one).collect();
    // `serving` differs from `active` while the host serves the application of its own configuration file.
    let serving = api.reloader.live().generation().id.clone();
    let mut list = json!({ "generations": all, "active": history.last(), "serving": serving });
    if let Some(fleet) = &api.fleet {
        list["fleet"] = fleet_json(fleet).await;
    }
    answer(StatusCode::OK, &list)
}

/// Describes this host and its fleet as JSON. `hosts` is null while the database cannot be queried.
async fn fleet_json(fleet: &Fleet) -> Value {
    let one = |Member { name, generation, since, seen, error }| json!({ "name": name, "generation": generation, "since": since, "seen": seen, "error": error });
    let (hosts, away) = match fleet.members().await {
        Ok(members) => (Some(members.into_iter().map(one).collect::<Vec<_>>()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({ "host": fleet.host(), "error": fleet.error().or(away), "hosts": hosts })
}

async fn show(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let (id, store): (Id, _) = (id.parse()?, api.store.clone());
    let (manifest, history) = blocking(move || Ok((store.manifest(&id)?, store.history()?))).await?;
    let mut shown = json!(manifest);
    shown["active"] = (history.last() == Some(&manifest.id)).into();
    shown["predecessor"] = json!(predecessor(&history, &manifest.id));
    match api.reloader.deployed(&manifest.id).await {
        Ok(generation) => shown["components"] = generation.components.iter().map(powers).collect(),
        Err(error) => shown["problem"] = format_error(&error).into(),
    }
    answer(StatusCode::OK, &shown)
}

/// Describes a component and its capabilities as JSON.
fn powers(component: &Arc<Component>) -> Value {
    let Capabilities { exports, imports, summary, routes, expenses: _ } = &component.capabilities;
    let (name, digest) = (&**component.name(), &component.digest);
    let routes: Vec<_> = routes.lines().collect();
    json!({
        "name": name, "digest": digest, "may": summary, "routes": routes, "exports": exports, "imports": imports
    })
}

async fn compare(State(api): State<Api>, Path((from, to)): Path<(String, String)>) -> Answer {
    let (from, to): (Id, Id) = (from.parse()?, to.parse()?);
    let is_served = api.reloader.live().generation().id == from.to_string();
    let (store, ids) = (api.store.clone(), (from.clone(), to.clone()));
    let files = blocking(move || {
        let new = store.manifest(&ids.1)?;
        match store.manifest(&ids.0) {
            // The generation of the host's own file is not in the store and has no manifest.
            Err(Error::Unknown(_)) if is_served => Ok(None),
            old => Ok(Some(diff::files(&old?, &new))),
        }
    });
    let files = files.await?;
    // The response lists the files even if the host cannot assemble one of the two generations.
    let (differences, problem) = match api.reloader.compare(&from, &to).await {
        Ok(Comparison { differences, refused }) => {
            (Some(differences_json(&differences)), refused.map(|refused| refused.to_string()))
        }
        Err(error) => (None, Some(format_error(&error))),
    };
    answer(StatusCode::OK, &json!({ "files": files, "differences": differences, "problem": problem }))
}

fn differences_json(differences: &[Difference]) -> Value {
    differences.iter().map(Difference::json).collect()
}

async fn activate(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let id: Id = id.parse()?;
    if api.fleet.is_none() {
        // Reject an unknown or damaged manifest here, because `step` would log it as a failed change. In a fleet, the
        // generation may so far be only in the database.
        let (store, wanted) = (api.store.clone(), id.clone());
        blocking(move || store.manifest(&wanted)).await?;
    }
    step(api, Step::To(id)).await
}

async fn roll_back(State(api): State<Api>) -> Answer {
    step(api, Step::Back).await
}

/// Changes the served generation. Runs in a task of its own, so that a client that disconnects does not cancel it.
async fn step(api: Api, step: Step) -> Answer {
    let changed = tokio::spawn(async move {
        let served = api.reloader.live().generation();
        let result = match &api.fleet {
            Some(fleet) => fleet.activate(&step).await,
            None => api.reloader.activate(&step).await,
        };
        reload::log_change(&result, &served);
        let Change { generation, differences, took, .. } = result?;
        Ok(json!({
            "id": generation.id,
            "before": served.id,
            "routes": generation.handlers.len(),
            "differences": differences_json(&differences),
            "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }))
    });
    match changed.await {
        Ok(Ok(change)) => answer(StatusCode::OK, &change),
        Ok(Err(problem)) => Err(problem),
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn collect(State(api): State<Api>) -> Answer {
    if let Some(fleet) = &api.fleet {
        fleet.collect(Duration::ZERO).await?;
    }
    let collected = blocking(move || api.store.collect(Duration::ZERO)).await?;
    answer(StatusCode::OK, &json!(collected))
}
