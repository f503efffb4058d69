//! An answer and the guest that gives it: its body is made while it is sent.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use server::{BoxError, Failure};
use tokio::runtime::Handle;
use wasmtime_wasi_http::WasiBody;

/// A guest at work on a request.
pub type Working = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// The body of an answer. Whoever asks for more of it lets the guest go on.
pub struct Answered {
    body: WasiBody,
    guest: Option<Working>,
    /// How long a guest may go on when nobody asks any more.
    patience: Duration,
    /// Whether it has nothing left to do, as a rule, when its answer is whole.
    ends_with_answer: bool,
}

impl Answered {
    /// `body`, which `guest` may still be writing.
    pub fn new(body: WasiBody, guest: Option<Working>, patience: Duration, ends_with_answer: bool) -> Self {
        Self { body, guest, patience, ends_with_answer }
    }

    /// The answer is whole, or nobody wants it: what the guest has left to do it does alone.
    fn part(&mut self) {
        if let (Some(mut guest), Ok(runtime)) = (self.guest.take(), Handle::try_current()) {
            // Most need no task for the rest.
            if self.ends_with_answer
                && let Poll::Ready(done) = guest.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return after(done);
            }
            let alone = tokio::time::timeout(self.patience, guest);
            runtime.spawn(async move {
                if let Ok(done) = alone.await {
                    after(done);
                }
            });
        }
    }
}

fn after(done: Result<(), Failure>) {
    if let Err(failure) = done {
        failure.log("after its answer");
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        // A guest that waits for its end sees it.
        drop(mem::take(&mut self.body));
        self.part();
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(guest) = &mut self.guest
            && let Poll::Ready(done) = guest.as_mut().poll(task)
        {
            self.guest = None;
            if let Err(failure) = done {
                failure.log("in the middle of its answer");
                return Poll::Ready(Some(Err("the guest failed".into())));
            }
        }
        let frame = Pin::new(&mut self.body).poll_frame(task);
        if let Poll::Ready(None) = frame {
            self.part();
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
