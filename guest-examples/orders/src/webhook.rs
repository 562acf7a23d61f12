//! Posts JSON to another service with `wasi:http`.

use wasip2::http::{
    outgoing_handler,
    types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme},
};

/// Posts JSON to a URL. `key` identifies the message, so that the service can ignore a repeated delivery.
///
/// # Errors
///
/// Returns a message if there is no response, or a response with another status than 2xx.
pub(crate) fn post(url: &str, key: &str, json: &str) -> Result<(), String> {
    let failed = |what: &dyn std::fmt::Debug| format!("the webhook {url} failed: {what:?}");
    match status(url, key, json) {
        Ok(200..300) => Ok(()),
        Ok(status) => Err(failed(&status)),
        Err(error) => Err(failed(&error)),
    }
}

fn status(url: &str, key: &str, json: &str) -> Result<u16, ErrorCode> {
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    let fields = [("content-type", b"application/json".to_vec()), ("idempotency-key", key.as_bytes().to_vec())];
    let fields = Fields::from_list(&fields.map(|(name, value)| (name.to_owned(), value)))
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let request = OutgoingRequest::new(fields);
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_method(&Method::Post).map_err(refused)?;
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(path)).map_err(refused)?;
    let body = request.body().map_err(refused)?;
    let response = outgoing_handler::handle(request, None)?;
    let stream = body.write().map_err(|()| ErrorCode::HttpProtocolError)?;
    for piece in json.as_bytes().chunks(4096) {
        // After an error of the stream, the response has the reason.
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None)?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(response)) => Ok(response?.status()),
        _ => Err(ErrorCode::HttpResponseIncomplete),
    }
}
