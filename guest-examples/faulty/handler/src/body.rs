//! The body of the response.

use wasip2::{
    http::types::{Fields, IncomingRequest, OutgoingBody},
    io::streams::{OutputStream, StreamError},
};

/// A body with its stream.
pub struct Body {
    // Declared first, because it must be dropped before the body.
    stream: Option<OutputStream>,
    body: Option<OutgoingBody>,
}

impl Body {
    pub fn new(body: OutgoingBody) -> Self {
        Self { stream: Some(body.write().expect("a stream")), body: Some(body) }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let Some(stream) = &self.stream else { return };
        for part in bytes.chunks(4096) {
            if let Err(error) = stream.blocking_write_and_flush(part) {
                println!("write: {error:?}");
                return;
            }
        }
    }

    pub fn fill(&mut self, bytes: usize) {
        for _ in 0..bytes / 4096 {
            self.write(&[b'x'; 4096]);
        }
        self.write(&vec![b'x'; bytes % 4096]);
    }

    pub fn finish(mut self, has_trailers: bool) {
        self.stream = None;
        let trailers = has_trailers.then(|| {
            let fields = Fields::new();
            fields.append("x-sum", b"42").expect("a field");
            fields
        });
        let finished = self.body.take().map(|body| OutgoingBody::finish(body, trailers));
        if let Some(Err(error)) = finished {
            println!("finish: {error:?}");
        }
    }
}

/// Returns the request as text: method, scheme, authority, path, header fields and body.
pub fn echo(request: &IncomingRequest) -> Vec<u8> {
    let (method, scheme) = (format!("{:?}", request.method()), request.scheme());
    let path = request.path_with_query().unwrap_or_default();
    let path = path.split("do=").next().unwrap_or_default();
    let authority = request.authority().unwrap_or_default();
    let mut text = format!("{method} {scheme:?} {authority} {path}\n").into_bytes();
    for (name, value) in request.headers().entries() {
        text.extend(format!("{name}: {}\n", String::from_utf8_lossy(&value)).into_bytes());
    }
    let body = request.consume().expect("a body");
    let stream = body.stream().expect("a stream");
    text.push(b'\n');
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(part) => text.extend(part),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    text
}
