//! Copies of a guest, each for one request or for as many as the settings say, made when they are needed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use server::{Answer, BodyError, Failure, Permit, RequestBody};
use tokio::sync::oneshot;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};
use workload::Guest;

use super::Outgoing;
use super::answer::{Answered, Working};
use super::ticks::Ticks;
use crate::ending::story;
use crate::limits::Memory;
use crate::wasi;
use crate::worlds::Host;

/// What copies are made of.
pub struct Guests {
    component: ProxyPre<Host>,
    guest: Guest,
    folders: WasiFilesystemCtx,
    config: Arc<WasiConfigVariables>,
    memory: Memory,
    outgoing: Outgoing,
    reuse: u64,
    timeout: Duration,
    /// Whether clients speak TLS.
    secure: bool,
    /// Those that may answer more.
    idle: Mutex<Vec<Replica>>,
    ticks: Ticks,
}

/// One copy, which answers one request at a time.
struct Replica {
    store: Store<Host>,
    proxy: Proxy,
    answered: u64,
}

type Said = Result<Response<HyperOutgoingBody>, ErrorCode>;

impl Guests {
    /// Of `component`, each given what `guest` says.
    pub fn new(
        component: ProxyPre<Host>,
        guest: Guest,
        folders: WasiFilesystemCtx,
        memory: Memory,
        ticks: Ticks,
    ) -> Self {
        let (reuse, timeout) =
            guest.http.as_ref().map_or((1, Duration::MAX), |http| (http.reuse, http.timeout));
        let secure = guest.http.as_ref().is_some_and(|http| http.tls.is_some());
        let config = wasi::config(&guest);
        let outgoing = Outgoing::new(wasi::egress(&guest), &guest.env);
        let idle = Mutex::default();
        Self { component, guest, folders, config, memory, outgoing, reuse, timeout, secure, idle, ticks }
    }

    async fn replica(&self) -> Result<Replica, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(replica) = idle {
            return Ok(replica);
        }
        let mut wasi = wasi::provide_plain(&self.guest, self.outgoing.egress()).build();
        *wasi.filesystem() = self.folders.clone();
        let host = Host::new(wasi, self.memory.share(), self.outgoing.clone(), Arc::clone(&self.config));
        let mut store = Store::new(self.component.engine(), host);
        store.limiter(|host| &mut host.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let proxy = self.component.instantiate_async(&mut store).await.map_err(not_made)?;
        Ok(Replica { store, proxy, answered: 0 })
    }

    /// Has a copy work on `request`; what it says comes by `said`.
    async fn work(
        self: Arc<Self>,
        request: Request<RequestBody>,
        said: oneshot::Sender<Said>,
        _permit: Permit,
    ) -> Result<(), Failure> {
        let _at_work = self.ticks.at_work();
        let mut replica = self.replica().await?;
        let Replica { store, proxy, .. } = &mut replica;
        store.set_epoch_deadline(1);
        let mut http = store.data_mut().http();
        let request = request.map(WasiBody);
        let scheme = if self.secure { Scheme::Https } else { Scheme::Http };
        let request = http.new_incoming_request(scheme, request).map_err(trapped)?;
        let said = http.new_response_outparam(said).map_err(trapped)?;
        proxy.wasi_http_incoming_handler().call_handle(store, request, said).await.map_err(trapped)?;
        replica.answered += 1;
        if replica.answered < self.reuse {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(replica);
        }
        Ok(())
    }
}

impl Answer for Guests {
    type Body = Answered;

    async fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<Answered>, Failure> {
        let (sender, mut said) = oneshot::channel();
        let patience = self.timeout;
        let mut guest: Option<Working> = Some(Box::pin(self.work(request, sender, permit)));
        // The guest works here, in the task of its request: nothing is handed between threads.
        let said = poll_fn(|task| {
            if let Some(working) = &mut guest
                && let Poll::Ready(done) = working.as_mut().poll(task)
            {
                guest = None;
                if let Err(failure) = done {
                    return Poll::Ready(Err(failure));
                }
            }
            Pin::new(&mut said).poll(task).map(|said| said.map_err(|_| Failure::Silent))
        });
        let said = said.await?.map_err(|code| Failure::Declined(format!("{code:?}")))?;
        Ok(said.map(|body| Answered::new(body, guest, patience)))
    }
}

/// A request's body with errors that guests know.
struct WasiBody(RequestBody);

impl http_body::Body for WasiBody {
    type Data = bytes::Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Error>>> {
        Pin::new(&mut self.0).poll_frame(task).map_err(|error| match error {
            BodyError::TooLong => Error::HttpRequestBodySize(None),
            BodyError::Stalled => Error::ConnectionReadTimeout,
            BodyError::Broken(error) => Error::Hyper(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

/// A copy that could not be made did not run, unless its start did.
fn not_made(error: wasmtime::Error) -> Failure {
    if error.is::<PoolConcurrencyLimitError>() || !(error.is::<Trap>() || error.is::<I32Exit>()) {
        Failure::NoRoom(format!("cannot make a copy of the guest: {}", story(&error)))
    } else {
        trapped(error)
    }
}

fn trapped(error: wasmtime::Error) -> Failure {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => Failure::Trapped(format!("it called exit({code})")),
        None => Failure::Trapped(story(&error)),
    }
}
