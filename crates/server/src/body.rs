//! A request's body, with its maximum length and its time-out between bytes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::patience::Patience;

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` for an empty body that no client sends.
    body: Option<Incoming>,
    left: u64,
    patience: Patience,
}

/// Why a body ends early.
#[derive(Debug)]
pub enum BodyError {
    /// It is longer than the server's limit.
    TooLong,
    /// The client stopped sending.
    Stalled,
    /// The connection broke, or the client did not send valid HTTP.
    Broken(hyper::Error),
}

impl RequestBody {
    /// Passes on at most `max` bytes of `body`.
    pub(crate) fn new(body: Incoming, max: u64, patience: Duration) -> Self {
        Self { body: Some(body), left: max, patience: Patience::new(patience) }
    }

    /// The body of a request without one.
    pub fn empty() -> Self {
        Self { body: None, left: 0, patience: Patience::new(Duration::ZERO) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(task);
        self.patience.poll(task, frame).map(|frame| match frame {
            Err(_) => Some(Err(BodyError::Stalled)),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(BodyError::Broken(error))),
            Ok(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                Some(match self.left.checked_sub(length) {
                    None => Err(BodyError::TooLong),
                    Some(left) => {
                        self.left = left;
                        Ok(frame)
                    }
                })
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
