//! The guest's own requests, through wasi:http/outgoing-handler.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingRequest, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::StreamError;

use crate::answer::{Answer, Failed};
use crate::pipe::{self, Pipe, Turn};

const CHUNK: u64 = 64 << 10;
const NO_URL: &str = "error: not a URL\n";

/// Fetches the URL; answers with its status and its body.
pub fn get(url: &str, answer: Answer) -> Result<(), Failed> {
    let Some(request) = request(url, Method::Get, Fields::new()) else {
        return answer.status(400).text(NO_URL);
    };
    match sent(request, None) {
        Ok(response) => {
            let status = format!("{}\n", response.status());
            Relay::new(&response, answer, &status)?.run()
        }
        Err(error) => answer.text(&line(&error)),
    }
}

/// Fetches `CONNECT,FIRST,BETWEEN,URL`, its time-outs in milliseconds; answers when the body is complete.
pub fn within(argument: &str, answer: Answer) -> Result<(), Failed> {
    let options = RequestOptions::new();
    let mut parts = argument.splitn(4, ',');
    let mut time = || Some(parts.next()?.parse::<u64>().ok()? * 1_000_000);
    options.set_connect_timeout(time())?;
    options.set_first_byte_timeout(time())?;
    options.set_between_bytes_timeout(time())?;
    let Some(request) = parts.next().and_then(|url| request(url, Method::Get, Fields::new())) else {
        return answer.status(400).text(NO_URL);
    };
    match sent(request, Some(options)).and_then(|response| whole(&response)) {
        Ok(text) => answer.text(&text),
        Err(error) => answer.text(&line(&error)),
    }
}

/// The answer to a request without a body.
fn sent(request: OutgoingRequest, options: Option<RequestOptions>) -> Result<IncomingResponse, ErrorCode> {
    let future = outgoing_handler::handle(request, options)?;
    loop {
        match ready(&future) {
            Some(response) => return response,
            None => future.subscribe().block(),
        }
    }
}

/// The body of an answer, or the error that it ended with.
fn whole(response: &IncomingResponse) -> Result<String, ErrorCode> {
    let body = response.consume().map_err(|()| ErrorCode::InternalError(None))?;
    let stream = body.stream().map_err(|()| ErrorCode::InternalError(None))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(http_error_code(&error).unwrap_or(ErrorCode::InternalError(None)));
            }
        }
    }
}

/// Sends the request's body to the URL and the URL's answer back, both as they come: neither waits
/// for the other to be complete.
pub fn post(url: &str, incoming: &IncomingRequest, answer: Answer) -> Result<(), Failed> {
    let headers = Fields::new();
    for content_type in incoming.headers().get("content-type") {
        headers.append("content-type", &content_type)?;
    }
    let Some(request) = request(url, Method::Post, headers) else {
        return answer.status(400).text(NO_URL);
    };
    let outgoing = request.body()?;
    let upstream = outgoing.write()?;
    let future = match outgoing_handler::handle(request, None) {
        Ok(future) => future,
        Err(error) => return answer.text(&line(&error)),
    };
    let body = incoming.consume()?;
    let mut upload = Upload(Some((Pipe::new(body.stream()?, upstream), outgoing)));

    let mut relay = loop {
        match ready(&future) {
            Some(Ok(response)) => break Relay::new(&response, answer, "")?,
            Some(Err(error)) => return answer.text(&line(&error)),
            None => wait(future.subscribe(), upload.turn()),
        }
    };
    // An upstream may end its answer without having read all that it was sent.
    while let Turn::Waits(download) = relay.pipe.turn()? {
        wait(download, upload.turn());
    }
    relay.finish()
}

/// The body of a request of ours, until it is sent or given up.
struct Upload(Option<(Pipe, OutgoingBody)>);

impl Upload {
    /// What to wait for; nothing once it is over. A failure here does not end the request: the
    /// upstream's answer reports it.
    fn turn(&mut self) -> Option<Pollable> {
        let (mut pipe, body) = self.0.take()?;
        match pipe.turn() {
            Ok(Turn::Waits(pollable)) => {
                self.0 = Some((pipe, body));
                Some(pollable)
            }
            Ok(Turn::Done) => {
                drop(pipe);
                let _ = OutgoingBody::finish(body, None);
                None
            }
            Err(Failed) => None,
        }
    }
}

/// An upstream's answer, relayed to our client.
struct Relay {
    // Before the bodies: the streams are children of them.
    pipe: Pipe,
    _from: IncomingBody,
    to: OutgoingBody,
}

impl Relay {
    fn new(response: &IncomingResponse, answer: Answer, first: &str) -> Result<Self, Failed> {
        let content_type = response.headers().get("content-type").into_iter().next();
        let from = response.consume()?;
        let sent = match content_type {
            Some(content_type) => answer.content_type(content_type),
            None => answer,
        }
        .send()?;
        pipe::write(&sent.stream, first.as_bytes())?;
        Ok(Self { pipe: Pipe::new(from.stream()?, sent.stream), _from: from, to: sent.body })
    }

    fn run(mut self) -> Result<(), Failed> {
        self.pipe.run()?;
        self.finish()
    }

    fn finish(self) -> Result<(), Failed> {
        drop(self.pipe);
        Ok(OutgoingBody::finish(self.to, None)?)
    }
}

fn wait(one: Pollable, other: Option<Pollable>) {
    match other {
        Some(other) => drop(poll(&[&one, &other])),
        None => one.block(),
    }
}

/// The answer, if it has arrived.
fn ready(future: &FutureIncomingResponse) -> Option<Result<IncomingResponse, ErrorCode>> {
    future.get().map(|once| once.expect("the answer is taken once"))
}

fn request(url: &str, method: Method, headers: Fields) -> Option<OutgoingRequest> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let request = OutgoingRequest::new(headers);
    request.set_method(&method).ok()?;
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some(&path)).ok()?;
    Some(request)
}

fn line(error: &ErrorCode) -> String {
    format!("error: {error:?}\n")
}
