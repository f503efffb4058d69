//! Copies of a guest, each for one request or for as many as the settings say, made when they are needed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use network::Egress;
use server::{Answer, Failure, Permit, RequestBody};
use tokio::sync::oneshot;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;
use workload::Guest;

use super::Outgoing;
use super::answer::{Answered, Working};
use super::exports::{Component, Exports, Said, trapped};
use super::ticks::Ticks;
use crate::ending::story;
use crate::limits::{self, Memory};
use crate::wasi;
use crate::worlds::Host;

/// What copies are made of.
pub struct Guests {
    component: Component,
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
    exports: Exports,
    answered: u64,
}

impl Guests {
    /// Of `component`, each given what `guest` says.
    pub fn new(
        component: Component,
        guest: Guest,
        folders: WasiFilesystemCtx,
        memory: Memory,
        ticks: Ticks,
    ) -> Self {
        let (reuse, timeout) =
            guest.http.as_ref().map_or((1, Duration::MAX), |http| (http.reuse, http.timeout));
        let secure = guest.http.as_ref().is_some_and(|http| http.tls.is_some());
        let config = wasi::config(&guest);
        let outgoing = Outgoing::new(Egress::of(&guest), &guest.env);
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
        limits::bind(&mut store, |host| &mut host.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let exports = self.component.copy(&mut store).await.map_err(not_made)?;
        Ok(Replica { store, exports, answered: 0 })
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
        let Replica { store, exports, .. } = &mut replica;
        store.set_epoch_deadline(1);
        exports.call(store, request, self.secure, said).await?;
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
        let ends_with_answer = self.component.ends_with_answer();
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
        Ok(said.map(|body| Answered::new(body, guest, patience, ends_with_answer)))
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
