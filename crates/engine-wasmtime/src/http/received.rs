//! A request's body with errors that guests know.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use server::{BodyError, RequestBody};
use wasmtime_wasi_http::Error;

/// What the client sends.
pub struct Received(pub RequestBody);

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(task).map_err(|error| match error {
            BodyError::TooLong => Error::HttpRequestBodySize(None),
            BodyError::Stalled => Error::ConnectionReadTimeout,
            BodyError::Broken(error) => Error::Hyper(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
