//! A request's body, with the errors of `wasi:http`.

use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use server::{BodyError, RequestBody};
use wasmtime_wasi_http::Error;

/// The body of a request for a guest.
pub type Received = MapErr<RequestBody, fn(BodyError) -> Error>;

/// Maps the errors of `body`.
pub fn received(body: RequestBody) -> Received {
    body.map_err(|error| match error {
        BodyError::TooLong => Error::HttpRequestBodySize(None),
        BodyError::Stalled => Error::ConnectionReadTimeout,
        BodyError::Broken(error) => Error::Hyper(error),
    })
}
