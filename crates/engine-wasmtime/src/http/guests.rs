//! The instances of a guest that answer its requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use network::Egress;
use server::{Answer, Failure, Permit, Pool, Pooled, RequestBody};
use tokio::sync::oneshot;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;
use workload::{Guest, Http};

use super::answer::{Answered, Working};
use super::exports::{Component, Exports, Said, trapped};
use crate::component::Host;
use crate::ending::story;
use crate::limits::{self, Bounded as _, Memory};
use crate::outgoing::Outgoing;
use crate::ticks::Ticks;
use crate::wasi;

/// What copies are made of.
pub struct Guests {
    component: Component,
    guest: Guest,
    folders: WasiFilesystemCtx,
    config: Arc<WasiConfigVariables>,
    memory: Memory,
    outgoing: Outgoing,
    timeout: Duration,
    /// Whether clients speak TLS.
    secure: bool,
    pool: Pool<Instance>,
    ticks: Ticks,
}

/// One instance.
struct Instance {
    store: Store<Host>,
    exports: Exports,
}

/// Where an answer comes, and whether one was taken from there.
struct Ear(Mutex<(oneshot::Receiver<Said>, bool)>);

impl Ear {
    fn poll(&self, task: &mut Context<'_>) -> Poll<Result<Said, Failure>> {
        let (said, taken) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = Pin::new(said).poll(task).map_err(|_| Failure::Silent);
        *taken |= matches!(said, Poll::Ready(Ok(_)));
        said
    }

    fn has_heard(&self) -> bool {
        let (said, taken) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *taken || !said.is_empty()
    }
}

impl Guests {
    /// Of `component`, each given what `guest` says, and served as `http` says.
    pub fn new(
        component: Component,
        guest: Guest,
        http: &Http,
        folders: WasiFilesystemCtx,
        memory: Memory,
        ticks: Ticks,
    ) -> Self {
        let config = wasi::config(&guest);
        let outgoing = Outgoing::new(Egress::of(&guest), &guest.env);
        Self {
            component,
            guest,
            folders,
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
        *wasi.filesystem() = self.folders.clone();
        let host = Host::new(wasi, self.memory.share(), self.outgoing.clone(), Arc::clone(&self.config));
        let mut store = Store::new(self.component.engine(), host);
        limits::bind(&mut store);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        match self.component.copy(&mut store).await {
            Ok(exports) => Ok(Instance { store, exports }),
            Err(error) => Err(not_made(&mut store, error)),
        }
    }

    /// Has an instance work on `request`; what it says comes to `ear`.
    async fn work(
        self: Arc<Self>,
        mut pooled: Pooled<Instance>,
        request: Request<RequestBody>,
        (said, ear): (oneshot::Sender<Said>, Arc<Ear>),
        _permit: Permit,
    ) -> Result<(), Failure> {
        let _at_work = self.ticks.at_work();
        let Instance { store, exports } = &mut pooled.instance;
        store.set_epoch_deadline(1);
        exports.call(store, request, self.secure, said).await.map_err(|failure| explained(store, failure))?;
        // Some keep what they should have answered by, and would be waited for.
        if !ear.has_heard() {
            return Err(Failure::Silent);
        }
        self.pool.give_back(pooled);
        Ok(())
    }

    /// What an instance answers to `request`.
    async fn ask(
        self: &Arc<Self>,
        pooled: Pooled<Instance>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<Answered>, Failure> {
        let (sender, said) = oneshot::channel();
        let ear = Arc::new(Ear(Mutex::new((said, false))));
        let patience = self.timeout;
        let ends_with_answer = self.component.ends_with_answer();
        let mut guest: Option<Working> =
            Some(Box::pin(Arc::clone(self).work(pooled, request, (sender, Arc::clone(&ear)), permit)));
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
            ear.poll(task)
        });
        let said = said.await?.map_err(|code| Failure::Declined(format!("{code:?}")))?;
        Ok(said.map(|body| Answered::new(body, guest, patience, ends_with_answer)))
    }
}

impl Answer for Guests {
    type Body = Answered;

    async fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        permit: Permit,
    ) -> Result<Response<Answered>, Failure> {
        let pooled = {
            let _at_work = self.ticks.at_work();
            self.pool.take(|| self.make()).await?
        };
        permit.begin();
        if pooled.is_fresh() {
            return self.ask(pooled, request, permit).await;
        }
        // Some guests are made for one request. What is safe to ask twice is asked of a fresh copy.
        let (head, body) = request.into_parts();
        let again = (head.method.is_safe() && body.is_end_stream()).then(|| head.clone());
        let answered = self.ask(pooled, Request::from_parts(head, body), permit.clone()).await;
        match (answered, again) {
            (Err(failure @ (Failure::Trapped(_) | Failure::Silent)), Some(head)) => {
                failure.log("a copy that had answered before failed, and a fresh one is asked");
                let fresh = self.pool.make(|| self.make()).await?;
                self.ask(fresh, Request::from_parts(head, RequestBody::empty()), permit).await
            }
            (answered, _) => answered,
        }
    }
}

/// A copy that could not be made did not run, unless its start did.
fn not_made(store: &mut Store<Host>, error: wasmtime::Error) -> Failure {
    if let Some(refusal) = store.data_mut().memory().refused() {
        return Failure::NoRoom(format!("cannot make a copy of the guest: {refusal}"));
    }
    if error.is::<PoolConcurrencyLimitError>() || !(error.is::<Trap>() || error.is::<I32Exit>()) {
        Failure::NoRoom(format!("cannot make a copy of the guest: {}", story(&error)))
    } else {
        trapped(error)
    }
}

/// A trap for want of memory says so.
fn explained(store: &mut Store<Host>, failure: Failure) -> Failure {
    match (failure, store.data_mut().memory().refused()) {
        (Failure::Trapped(story), Some(refusal)) => Failure::Trapped(format!("{refusal}\n{story}")),
        (failure, _) => failure,
    }
}
