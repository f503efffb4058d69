//! Handles requests with instances of a guest.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use network::Egress;
use server::{Failure, Handler, Permit, Pool, Pooled, RequestBody};
use tokio::sync::oneshot;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;
use workload::{Guest, Http};

use super::body::{GuestBody, RunningGuest};
use super::exports::{Component, Exports, GuestResponse, trapped};
use crate::component::ComponentState;
use crate::ending::story;
use crate::limits::{self, Bounded as _, Memory};
use crate::outgoing::Outgoing;
use crate::ticks::Ticks;
use crate::wasi;

/// A guest that answers requests: what its instances are created from, and their pool.
pub struct HttpGuest {
    component: Component,
    guest: Guest,
    preopens: WasiFilesystemCtx,
    config: Arc<WasiConfigVariables>,
    memory: Memory,
    outgoing: Outgoing,
    timeout: Duration,
    /// Whether clients speak TLS.
    secure: bool,
    pool: Pool<Instance>,
    ticks: Ticks,
}

struct Instance {
    store: Store<ComponentState>,
    exports: Exports,
}

/// Receives the response of an instance, and remembers whether it was taken.
struct ResponseReceiver(Mutex<(oneshot::Receiver<GuestResponse>, bool)>);

impl ResponseReceiver {
    fn poll(&self, task: &mut Context<'_>) -> Poll<Result<GuestResponse, Failure>> {
        let (receiver, taken) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let response = Pin::new(receiver).poll(task).map_err(|_| Failure::Silent);
        *taken |= matches!(response, Poll::Ready(Ok(_)));
        response
    }

    /// Whether the instance has sent its response.
    fn has_received(&self) -> bool {
        let (receiver, taken) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *taken || !receiver.is_empty()
    }
}

impl HttpGuest {
    /// Instances of `component`, with the arguments and environment of `guest` and the settings of `http`.
    pub fn new(
        component: Component,
        guest: Guest,
        http: &Http,
        preopens: WasiFilesystemCtx,
        memory: Memory,
        ticks: Ticks,
    ) -> Self {
        let config = wasi::config(&guest);
        let outgoing = Outgoing::new(Egress::of(&guest), &guest.env);
        Self {
            component,
            guest,
            preopens,
            config,
            memory,
            outgoing,
            timeout: http.timeout,
            secure: http.tls.is_some(),
            pool: Pool::new(http.reuse),
            ticks,
        }
    }

    async fn make(&self) -> Result<Instance, Failure> {
        let mut wasi = wasi::provide_plain(&self.guest, self.outgoing.egress()).build();
        *wasi.filesystem() = self.preopens.clone();
        let host =
            ComponentState::new(wasi, self.memory.share(), self.outgoing.clone(), Arc::clone(&self.config));
        let mut store = Store::new(self.component.engine(), host);
        limits::bind(&mut store);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        match self.component.instantiate(&mut store).await {
            Ok(exports) => Ok(Instance { store, exports }),
            Err(error) => Err(not_made(&mut store, error)),
        }
    }

    /// Runs an instance on `request`, sends its response, and returns the instance to the pool.
    async fn run(
        self: Arc<Self>,
        mut pooled: Pooled<Instance>,
        request: Request<RequestBody>,
        (sender, receiver): (oneshot::Sender<GuestResponse>, Arc<ResponseReceiver>),
        _permit: Permit,
    ) -> Result<(), Failure> {
        let _at_work = self.ticks.at_work();
        let Instance { store, exports } = &mut pooled.instance;
        store.set_epoch_deadline(1);
        exports
            .call(store, request, self.secure, sender)
            .await
            .map_err(|failure| explained(store, failure))?;
        // An instance may keep its response-outparam without using it: its response would never arrive.
        if !receiver.has_received() {
            return Err(Failure::Silent);
        }
        self.pool.give_back(pooled);
        Ok(())
    }

    /// The response of an instance to `request`.
    async fn respond(
        self: &Arc<Self>,
        pooled: Pooled<Instance>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<GuestBody>, Failure> {
        let (sender, receiver) = oneshot::channel();
        let receiver = Arc::new(ResponseReceiver(Mutex::new((receiver, false))));
        let patience = self.timeout;
        let ends_with_body = self.component.ends_with_body();
        let mut guest: Option<RunningGuest> =
            Some(Box::pin(Arc::clone(self).run(pooled, request, (sender, Arc::clone(&receiver)), permit)));
        // The guest runs in the task of its request: nothing moves between threads.
        let response = poll_fn(|task| {
            if let Some(running) = &mut guest
                && let Poll::Ready(done) = running.as_mut().poll(task)
            {
                guest = None;
                if let Err(failure) = done {
                    return Poll::Ready(Err(failure));
                }
            }
            receiver.poll(task)
        });
        let response = response.await?.map_err(|code| Failure::Declined(format!("{code:?}")))?;
        Ok(response.map(|body| GuestBody::new(body, guest, patience, ends_with_body)))
    }
}

impl Handler for HttpGuest {
    type Body = GuestBody;

    async fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<GuestBody>, Failure> {
        let pooled = {
            let _at_work = self.ticks.at_work();
            self.pool.take(|| self.make()).await?
        };
        permit.begin();
        if pooled.is_fresh() {
            return self.respond(pooled, request, permit).await;
        }
        // Some guests can only handle one request per instance. A safe request is retried on a fresh one.
        let (head, body) = request.into_parts();
        let again = (head.method.is_safe() && body.is_end_stream()).then(|| head.clone());
        let response = self.respond(pooled, Request::from_parts(head, body), permit.clone()).await;
        match (response, again) {
            (Err(failure @ (Failure::Trapped(_) | Failure::Silent)), Some(head)) => {
                failure.log("an instance that had answered before failed, and a fresh one is asked");
                let fresh = self.pool.make(|| self.make()).await?;
                self.respond(fresh, Request::from_parts(head, RequestBody::empty()), permit).await
            }
            (response, _) => response,
        }
    }
}

/// Why there is no instance: no room, unless its start function trapped or called exit.
fn not_made(store: &mut Store<ComponentState>, error: wasmtime::Error) -> Failure {
    if let Some(refusal) = store.data_mut().memory().refused() {
        return Failure::NoRoom(format!("cannot make an instance of the guest: {refusal}"));
    }
    if error.is::<PoolConcurrencyLimitError>() || !(error.is::<Trap>() || error.is::<I32Exit>()) {
        Failure::NoRoom(format!("cannot make an instance of the guest: {}", story(&error)))
    } else {
        trapped(error)
    }
}

/// Adds the refused growth to a trap for want of memory.
fn explained(store: &mut Store<ComponentState>, failure: Failure) -> Failure {
    match (failure, store.data_mut().memory().refused()) {
        (Failure::Trapped(story), Some(refusal)) => Failure::Trapped(format!("{refusal}\n{story}")),
        (failure, _) => failure,
    }
}
