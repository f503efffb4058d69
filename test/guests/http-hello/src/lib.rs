//! Answers every request with 200 and `hello`.
//!
//! It makes the fewest host calls that an answer needs, and does not read the request, so that a
//! benchmark measures the host.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        if answer(out).is_err() {
            core::arch::wasm32::unreachable();
        }
    }
}

fn answer(out: ResponseOutparam) -> Result<(), ()> {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain").map_err(drop)?;
    let response = OutgoingResponse::new(headers);
    let body = response.body()?;
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write()?;
    stream.blocking_write_and_flush(b"hello\n").map_err(drop)?;
    drop(stream);
    OutgoingBody::finish(body, None).map_err(drop)
}
