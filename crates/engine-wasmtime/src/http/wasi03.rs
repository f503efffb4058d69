//! How a guest is asked in WASI 0.3: it answers with a body that it writes afterwards, as a task of its own.

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

use super::exports::{Said, trapped};
use super::received::Received;
use crate::component::Host;

/// Has the copy of a guest in `store` work on `request`. What it says comes by `said`; then its tasks go on
/// until the answer is sent, or given up, and they have returned.
///
/// # Errors
/// When it trapped, or has no answer.
pub async fn call(
    service: &Service,
    store: &mut Store<Host>,
    request: http::Request<Received>,
    secure: bool,
    said: oneshot::Sender<Said>,
) -> Result<(), Failure> {
    let worked = store.run_concurrent(async |guest| -> wasmtime::Result<Result<(), ErrorCode>> {
        let request = guest.with(|mut store| taken(request, secure, store.data_mut()));
        let answer = match service.handle(guest, request).await? {
            Ok(answer) => answer,
            Err(code) => return Ok(Err(code)),
        };
        let (sent, is_sent) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        // The guest may ask how the sending ended.
        let told = async { end.await.unwrap_or(Err(Error::ConnectionTerminated)) };
        let answer = guest.with(|store| answer.into_http(store, told))?;
        // Whoever asked may have gone.
        let _ = said.send(Ok(answer.map(|body| Sent { body, sent: Some(sent) }.boxed_unsync())));
        // What a guest passes on without looking at it comes through its store even when it has returned.
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

/// The request as the guest sees it.
fn taken(request: http::Request<Received>, secure: bool, host: &mut Host) -> Request {
    let (head, body) = request.into_parts();
    let by_header = || head.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = head.uri.authority().cloned().or_else(by_header);
    let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    let path = head.uri.path_and_query().cloned();
    let headers = FieldMap::new_immutable(host.http().hooks, head.headers);
    // How the guest came to an end with the body is nobody's to know.
    Request::new(head.method, Some(scheme), authority, path, headers, None, body).0
}

/// The body of an answer, which tells how its sending ended.
struct Sent {
    body: WasiBody,
    sent: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Sent {
    fn ends(&mut self, outcome: Result<(), Error>) {
        // Nobody waits for it where the guest failed.
        let _ = self.sent.take().map(|sent| sent.send(outcome));
    }
}

impl Body for Sent {
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

impl Drop for Sent {
    fn drop(&mut self) {
        let whole = mem::take(&mut self.body).is_end_stream();
        self.ends(if whole { Ok(()) } else { Err(Error::ConnectionTerminated) });
    }
}
