//! Outbound requests: `METHOD URL [first=MS] [between=MS] [body=BYTES] [header=VALUE] [leave]`.

use wasip2::{
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    io::streams::StreamError,
};

/// Sends a request. Returns the status and the body of the response, or the error.
pub fn send(method: &str, rest: &str) -> String {
    exchange(method, rest).unwrap_or_else(|error| format!("{error:?}"))
}

fn exchange(method: &str, rest: &str) -> Result<String, ErrorCode> {
    let mut words = rest.split(' ');
    let url = words.next().unwrap_or_default();
    let (mut body, mut leave) = (None, false);
    let (fields, options) = (Fields::new(), RequestOptions::new());
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().unwrap_or_default();
        let nanoseconds = Some(number() * 1_000_000);
        match key {
            "first" => options.set_first_byte_timeout(nanoseconds).unwrap_or_default(),
            "between" => options.set_between_bytes_timeout(nanoseconds).unwrap_or_default(),
            "body" => body = Some(number() as usize),
            "leave" => leave = true,
            name => fields.append(name, value.as_bytes()).unwrap_or_default(),
        }
    }
    let request = OutgoingRequest::new(fields);
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = match scheme {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "" => None,
        other => Some(Scheme::Other(other.into())),
    };
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        other => Method::Other(other.into()),
    };
    request.set_method(&method).map_err(refused)?;
    request.set_scheme(scheme.as_ref()).map_err(refused)?;
    request.set_authority(Some(authority)).map_err(refused)?;
    request.set_path_with_query(Some(path)).map_err(refused)?;
    let outgoing = request.body().map_err(refused)?;
    let future = outgoing_handler::handle(request, Some(options))?;
    if leave {
        std::mem::forget((future, outgoing));
        return Ok("left".into());
    }
    if let Some(length) = body {
        write(&outgoing, length)?;
    }
    OutgoingBody::finish(outgoing, None)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(response)) => Ok(read(&response?)),
        other => Ok(format!("no response: {other:?}")),
    }
}

/// Writes `length` bytes. Gives up at an error of the stream, as some libraries do.
fn write(body: &OutgoingBody, length: usize) -> Result<(), ErrorCode> {
    let failed = |error: StreamError| ErrorCode::InternalError(Some(format!("while writing: {error:?}")));
    let stream = body.write().map_err(|()| ErrorCode::HttpProtocolError)?;
    for _ in 0..length.div_ceil(4096) {
        stream.blocking_write_and_flush(&[b'x'; 4096]).map_err(failed)?;
    }
    Ok(())
}

fn read(response: &IncomingResponse) -> String {
    let mut text = response.status().to_string();
    let Ok(body) = response.consume() else { return text };
    let Ok(stream) = body.stream() else { return text };
    let mut bytes = Vec::new();
    let end = loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => break String::new(),
            Err(StreamError::LastOperationFailed(error)) => break format!(" broken: {}", error.to_debug_string()),
        }
    };
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    text.push_str(&format!(" {shown}{end}"));
    text
}
