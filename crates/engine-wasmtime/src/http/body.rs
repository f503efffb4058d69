//! The body of a response, which drives the guest that writes it.

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
pub type RunningGuest = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// The body of a response. Polling it runs the guest.
pub struct GuestBody {
    body: WasiBody,
    guest: Option<RunningGuest>,
    /// How long the guest may run after the body is complete or dropped.
    patience: Duration,
    /// Whether the guest mostly has nothing left to do once the body is complete.
    ends_with_body: bool,
}

impl GuestBody {
    /// `body`, which `guest` may still be writing.
    pub fn new(
        body: WasiBody,
        guest: Option<RunningGuest>,
        patience: Duration,
        ends_with_body: bool,
    ) -> Self {
        Self { body, guest, patience, ends_with_body }
    }

    /// The body is complete or dropped: detaches the guest, which finishes on its own.
    fn detach(&mut self) {
        if let (Some(mut guest), Ok(runtime)) = (self.guest.take(), Handle::try_current()) {
            // Most finish in one poll and need no task.
            if self.ends_with_body
                && let Poll::Ready(done) = guest.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return log(done);
            }
            let rest = tokio::time::timeout(self.patience, guest);
            runtime.spawn(async move {
                if let Ok(done) = rest.await {
                    log(done);
                }
            });
        }
    }
}

fn log(done: Result<(), Failure>) {
    if let Err(failure) = done {
        failure.log("after its answer");
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        // Dropped first, so that a guest that waits for the end of its body sees it.
        drop(mem::take(&mut self.body));
        self.detach();
    }
}

impl Body for GuestBody {
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
            self.detach();
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
