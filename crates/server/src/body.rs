//! A request's body: as long as it may be, and not slower than it may be.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::patience::Patience;

/// What a client sends.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` for an empty one that nobody sends.
    body: Option<Incoming>,
    left: u64,
    patience: Patience,
}

/// Why a body ends before its end.
#[derive(Debug)]
pub enum BodyError {
    /// It is longer than the server's bound.
    TooLong,
    /// The client stopped sending.
    Stalled,
    /// The connection broke, or what came was not HTTP.
    Broken(hyper::Error),
}

impl RequestBody {
    /// `body`, of which no more than `most` bytes are passed on.
    pub(crate) fn new(body: Incoming, most: u64, patience: Duration) -> Self {
        Self { body: Some(body), left: most, patience: Patience::new(patience) }
    }

    /// Of a request that has none.
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
