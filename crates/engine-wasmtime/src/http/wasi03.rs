//! Calls a handler of WASI 0.3: it returns a response whose body it writes afterwards, in a task of its own.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use server::Failure;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, FieldMap, WasiBody, WasiHttpView};

use super::exports::{GuestResponse, trapped};
use super::received::Received;
use crate::component::ComponentState;

/// Calls the handler of the instance in `store` with `request`. Its response is sent to `response`; then its tasks run
/// until the body is sent or cancelled, and they have returned.
///
/// # Errors
/// When it traps, or has no response.
pub async fn call(
    service: &Service,
    store: &mut Store<ComponentState>,
    request: http::Request<Received>,
    secure: bool,
    response: oneshot::Sender<GuestResponse>,
) -> Result<(), Failure> {
    let worked = store.run_concurrent(async |guest| -> wasmtime::Result<Result<(), ErrorCode>> {
        let request = guest.with(|mut store| guest_request(request, secure, store.data_mut()));
        let handled = match service.handle(guest, request).await? {
            Ok(handled) => handled,
            Err(code) => return Ok(Err(code)),
        };
        let (sent, is_sent) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        // The guest may await how sending ended.
        let outcome = async { end.await.unwrap_or(Err(Error::ConnectionTerminated)) };
        let handled = guest.with(|store| handled.into_http(store, outcome))?;
        // The client may be gone.
        let _ =
            response.send(Ok(handled.map(|body| NotifyingBody { body, sent: Some(sent) }.boxed_unsync())));
        // The store must run until the body is sent: a body that the guest only forwards comes through it even after
        // the guest has returned.
        let outcome = is_sent.await.unwrap_or(Err(Error::ConnectionTerminated));
        let _ = ended.send(outcome);
        poll_fn(|task| guest.poll_no_interesting_tasks(task)).await;
        Ok(Ok(()))
    });
    match worked.await.and_then(|worked| worked).map_err(trapped)? {
        Ok(()) => Ok(()),
        Err(code) => Err(Failure::Declined(format!("{code:?}"))),
    }
}

/// The request for the guest.
fn guest_request(request: http::Request<Received>, secure: bool, host: &mut ComponentState) -> Request {
    let (head, body) = request.into_parts();
    let by_header = || head.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = head.uri.authority().cloned().or_else(by_header);
    let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    let path = head.uri.path_and_query().cloned();
    let headers = FieldMap::new_immutable(host.http().hooks, head.headers);
    // How the guest finished with the body is ignored.
    Request::new(head.method, Some(scheme), authority, path, headers, None, body).0
}

/// The body of a response, which reports how sending it ended.
struct NotifyingBody {
    body: WasiBody,
    sent: Option<oneshot::Sender<Result<(), Error>>>,
}

impl NotifyingBody {
    fn ends(&mut self, outcome: Result<(), Error>) {
        // The receiver is gone if the guest failed.
        let _ = self.sent.take().map(|sent| sent.send(outcome));
    }
}

impl Body for NotifyingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(task);
        if let Poll::Ready(None) = frame {
            self.ends(Ok(()));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for NotifyingBody {
    fn drop(&mut self) {
        let whole = mem::take(&mut self.body).is_end_stream();
        self.ends(if whole { Ok(()) } else { Err(Error::ConnectionTerminated) });
    }
}
