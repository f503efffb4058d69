//! Answers: their headers, bodies and trailers.

use wasip2::http::types::{
    ErrorCode, Fields, HeaderError, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

use crate::host;
use crate::pipe::{self, Pipe};

const CHUNK: usize = 64 << 10;

/// An answer, or a request, that cannot be completed.
#[derive(Debug)]
pub struct Failed;

impl From<()> for Failed {
    fn from((): ()) -> Self {
        Self
    }
}

impl From<StreamError> for Failed {
    fn from(_: StreamError) -> Self {
        Self
    }
}

impl From<HeaderError> for Failed {
    fn from(_: HeaderError) -> Self {
        Self
    }
}

impl From<ErrorCode> for Failed {
    fn from(_: ErrorCode) -> Self {
        Self
    }
}

/// An answer whose headers are still to be sent.
pub struct Answer {
    out: ResponseOutparam,
    status: u16,
    content_type: Vec<u8>,
    trailer: Vec<u8>,
}

/// An answer whose headers were sent.
pub struct Sent {
    // Before the body: the stream is a child of it.
    pub stream: OutputStream,
    pub body: OutgoingBody,
}

impl Answer {
    pub fn new(out: ResponseOutparam) -> Self {
        Self { out, status: 200, content_type: b"text/plain".into(), trailer: Vec::new() }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn content_type(self, content_type: Vec<u8>) -> Self {
        Self { content_type, ..self }
    }

    /// Sends the headers.
    pub fn send(self) -> Result<Sent, Failed> {
        let headers = Fields::new();
        headers.append("content-type", &self.content_type)?;
        if !self.trailer.is_empty() {
            headers.append("trailer", &self.trailer)?;
        }
        let response = OutgoingResponse::new(headers);
        response.set_status_code(self.status)?;
        let body = response.body()?;
        let stream = body.write()?;
        ResponseOutparam::set(self.out, Ok(response));
        Ok(Sent { stream, body })
    }

    /// An answer of these bytes.
    pub fn bytes(self, bytes: &[u8]) -> Result<(), Failed> {
        let sent = self.send()?;
        pipe::write(&sent.stream, bytes)?;
        sent.finish(None)
    }

    /// An answer of this text.
    pub fn text(self, text: &str) -> Result<(), Failed> {
        self.bytes(text.as_bytes())
    }
}

impl Sent {
    pub fn finish(self, trailers: Option<Fields>) -> Result<(), Failed> {
        drop(self.stream);
        Ok(OutgoingBody::finish(self.body, trailers)?)
    }
}

/// Sends the request's body back, each chunk as it comes.
pub fn echo(request: &IncomingRequest, answer: Answer) -> Result<(), Failed> {
    let content_type = request.headers().get("content-type").into_iter().next();
    let body = request.consume()?;
    let from = body.stream()?;
    let sent = match content_type {
        Some(content_type) => answer.content_type(content_type),
        None => answer,
    }
    .send()?;
    let mut pipe = Pipe::new(from, sent.stream);
    pipe.run()?;
    drop(pipe);
    Ok(OutgoingBody::finish(sent.body, None)?)
}

/// The request's head, one field per line, the headers sorted.
pub fn described(request: &IncomingRequest) -> String {
    let method = match request.method() {
        Method::Other(method) => method,
        method => format!("{method:?}").trim_start_matches("Method::").to_uppercase(),
    };
    let scheme = request.scheme().map_or_else(String::new, |scheme| match scheme {
        Scheme::Http => "http".into(),
        Scheme::Https => "https".into(),
        Scheme::Other(scheme) => scheme,
    });
    let mut lines: Vec<String> = request.headers().entries().iter().map(line).collect();
    lines.sort();
    format!(
        "method: {method}\npath: {}\nscheme: {scheme}\nauthority: {}\n{}",
        request.path_with_query().unwrap_or_default(),
        request.authority().unwrap_or_default(),
        lines.concat()
    )
}

fn line((name, value): &(String, Vec<u8>)) -> String {
    format!("{name}: {}\n", String::from_utf8_lossy(value))
}

/// Reads the request to its end, then answers with a trailer of its own and with those it received.
pub fn trailers(request: &IncomingRequest, mut answer: Answer) -> Result<(), Failed> {
    let mut trailers = vec![("x-sum".to_owned(), b"5".to_vec())];
    for (name, value) in received(request)? {
        trailers.push((format!("x-got-{name}"), value));
    }
    let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
    // A server sends only trailers that the headers announce.
    answer.trailer = names.join(", ").into_bytes();
    let sent = answer.send()?;
    pipe::write(&sent.stream, b"body\n")?;
    sent.finish(Some(Fields::from_list(&trailers)?))
}

/// The trailers of the request, whose body is read and dropped.
fn received(request: &IncomingRequest) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let body = request.consume()?;
    let stream = body.stream()?;
    pipe::drain(&stream)?;
    drop(stream);
    let future = IncomingBody::finish(body);
    future.subscribe().block();
    let trailers = future.get().ok_or(Failed)???;
    Ok(trailers.map_or_else(Vec::new, |trailers| trailers.entries()))
}

/// Server-sent events, 100 ms apart.
pub fn events(count: u64, answer: Answer) -> Result<(), Failed> {
    let sent = answer.content_type(b"text/event-stream".into()).send()?;
    for event in 0..count {
        if event > 0 {
            host::sleep(100);
        }
        pipe::write(&sent.stream, format!("data: {event}\n\n").as_bytes())?;
    }
    sent.finish(None)
}

/// A body of so many bytes.
pub fn big(mut bytes: u64, answer: Answer) -> Result<(), Failed> {
    let chunk = vec![b'x'; CHUNK];
    let sent = answer.content_type(b"application/octet-stream".into()).send()?;
    while bytes > 0 {
        let length = bytes.min(CHUNK as u64);
        pipe::write(&sent.stream, &chunk[..length as usize])?;
        bytes -= length;
    }
    sent.finish(None)
}

/// Traps right after it writes the headers and a first chunk, before they are sent.
pub fn late_trap(answer: Answer) -> Result<(), Failed> {
    let sent = answer.send()?;
    pipe::write(&sent.stream, b"first\n")?;
    core::arch::wasm32::unreachable()
}

/// Traps when its client, who has received the headers and a first chunk, has ended its own body.
pub fn mid_trap(request: &IncomingRequest, answer: Answer) -> Result<(), Failed> {
    let body = request.consume()?;
    let sent = answer.send()?;
    pipe::write(&sent.stream, b"first\n")?;
    pipe::drain(&body.stream()?)?;
    core::arch::wasm32::unreachable()
}
