//! A response's body, with a time-out between its bytes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::Error;

/// The body of a response.
#[derive(Debug)]
pub struct ResponseBody {
    body: Incoming,
    between_bytes: Duration,
    /// Armed while no frame arrives.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(crate) fn new(body: Incoming, between_bytes: Duration) -> Self {
        Self { body, between_bytes, deadline: None }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(task) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::of_body)));
        }
        let between_bytes = self.between_bytes;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(between_bytes)));
        deadline.as_mut().poll(task).map(|()| Some(Err(Error::ReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
