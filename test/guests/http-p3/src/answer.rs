//! Answers: their bodies, written while and after their heads are sent.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Trailers};
use wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use wasip3::{spawn_local, wit_future, wit_stream};

const CHUNK: usize = 64 << 10;

type Tail = FutureReader<Result<Option<Trailers>, ErrorCode>>;

/// An answer of this text.
pub fn text(text: &str) -> Response {
    status(200, text)
}

/// The same, with another status.
pub fn status(status: u16, text: &str) -> Response {
    let (mut writer, body) = wit_stream::new();
    let bytes = text.as_bytes().to_vec();
    spawn_local(async move {
        writer.write_all(bytes).await;
    });
    let response = of(body, no_trailers());
    // Only an invalid number is rejected.
    let _ = response.set_status_code(status);
    response
}

/// The request's body, each chunk as it comes, and its trailers.
pub fn echo(request: Request) -> Response {
    let headers = like(&request);
    let (mut chunks, trailers) = read(request);
    let (mut writer, body) = wit_stream::new();
    spawn_local(async move {
        loop {
            let (got, bytes) = chunks.read(Vec::with_capacity(CHUNK)).await;
            if !matches!(got, StreamResult::Complete(_)) || !writer.write_all(bytes).await.is_empty() {
                return;
            }
        }
    });
    Response::new(headers, Some(body), trailers).0
}

/// The same without reading it: the host's stream is passed back to the host.
pub fn pass(request: Request) -> Response {
    let headers = like(&request);
    let (chunks, trailers) = read(request);
    Response::new(headers, Some(chunks), trailers).0
}

/// The length of the request's body, or the error that it ended with.
pub async fn length(request: Request) -> Response {
    let (mut chunks, trailers) = read(request);
    let mut length = 0;
    while let (StreamResult::Complete(more), _) = chunks.read(Vec::with_capacity(CHUNK)).await {
        length += more;
    }
    match trailers.await {
        Ok(_) => text(&format!("{length}\n")),
        Err(code) => text(&format!("error: {code:?}\n")),
    }
}

/// A body of so many `x`.
pub fn big(bytes: u32) -> Response {
    let (mut writer, body) = wit_stream::new();
    let mut left = usize::try_from(bytes).unwrap_or(0);
    spawn_local(async move {
        while left > 0 {
            let chunk = left.min(CHUNK);
            left -= chunk;
            if !writer.write_all(vec![b'x'; chunk]).await.is_empty() {
                return;
            }
        }
    });
    of(body, no_trailers())
}

/// Sends its headers and `first`, then traps.
pub fn late_trap() -> Response {
    let (mut writer, body) = wit_stream::new();
    spawn_local(async move {
        writer.write_all(b"first".to_vec()).await;
        wait_for(100_000_000).await;
        core::arch::wasm32::unreachable()
    });
    of(body, no_trailers())
}

/// Answers, and prints a line on stdout after so many milliseconds.
pub fn afterwards(milliseconds: u32) -> Response {
    spawn_local(async move {
        wait_for(u64::from(milliseconds) * 1_000_000).await;
        println!("afterwards");
    });
    text("answered\n")
}

/// An answer with this body.
fn of(body: StreamReader<u8>, trailers: Tail) -> Response {
    Response::new(headers(&[]), Some(body), trailers).0
}

/// Headers that announce the trailers of `request`: HTTP/1.1 sends no others.
fn like(request: &Request) -> Fields {
    headers(&request.get_headers().get("trailer"))
}

fn headers(trailers: &[Vec<u8>]) -> Fields {
    let named = trailers.iter().map(|value| ("trailer".into(), value.clone()));
    let all: Vec<(String, Vec<u8>)> = named.chain([("content-type".into(), b"text/plain".into())]).collect();
    // The received headers are valid.
    Fields::from_list(&all).unwrap_or_else(|_| Fields::new())
}

fn read(request: Request) -> (StreamReader<u8>, Tail) {
    let (_, done) = wit_future::new(|| Ok(()));
    Request::consume_body(request, done)
}

fn no_trailers() -> Tail {
    wit_future::new(|| Ok(None)).1
}
