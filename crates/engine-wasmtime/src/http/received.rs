//! A request's body with errors that guests know.

use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use server::{BodyError, RequestBody};
use wasmtime_wasi_http::Error;

/// What the client sends.
pub type Received = MapErr<RequestBody, fn(BodyError) -> Error>;

/// `body` as guests are given it.
pub fn received(body: RequestBody) -> Received {
    body.map_err(|error| match error {
        BodyError::TooLong => Error::HttpRequestBodySize(None),
        BodyError::Stalled => Error::ConnectionReadTimeout,
        BodyError::Broken(error) => Error::Hyper(error),
    })
}
