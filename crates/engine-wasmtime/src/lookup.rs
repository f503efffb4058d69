//! `wasi:sockets/ip-name-lookup` without libc's resolver, which would ask the image's files whom to load.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::vec;

use network::{Egress, LookupError};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi::{ResourceTable, WasiView};

/// The interface as wasmtime-wasi 48 names it.
const INTERFACE: &str = "wasi:sockets/ip-name-lookup@0.2.12";
#[cfg(feature = "p3")]
const INTERFACE_03: &str = "wasi:sockets/ip-name-lookup@0.3.0";

/// A guest's state, as this interface sees it.
pub trait Host: WasiView + 'static {
    /// Who judges and answers.
    fn egress(&self) -> Arc<Egress>;
}

/// The resource `resolve-address-stream`: one question and what is left of its answer.
enum Answer {
    Awaited(AbortOnDropJoinHandle<Result<Vec<IpAddr>, LookupError>>),
    Known(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

/// Puts this file's functions in the place of Wasmtime's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<T: Host>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource("resolve-address-stream", ResourceType::host::<Answer>(), |mut store, number| {
        store.data_mut().ctx().table.delete(Resource::<Answer>::new_own(number))?;
        Ok(())
    })?;
    interface.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, T>, (network, name): (Resource<Network>, String)| {
            let egress = store.data().egress();
            let table = store.data_mut().ctx().table;
            // Whoever holds the network may ask.
            table.get(&network)?;
            let asked = spawn(async move { egress.lookup(&name).await });
            Ok((Ok::<_, ErrorCode>(table.push(Answer::Awaited(asked))?),))
        },
    )?;
    interface.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, T>, (answer,): (Resource<Answer>,)| {
            let answer = store.data_mut().ctx().table.get_mut(&answer)?;
            Ok((answer.next(),))
        },
    )?;
    interface.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, T>, (answer,): (Resource<Answer>,)| {
            Ok((pollable(store.data_mut().ctx().table, answer)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Puts this file's function in the place of Wasmtime's for WASI 0.3.
///
/// # Errors
/// When the linker does not take it.
#[cfg(feature = "p3")]
pub fn link_03<T: Host>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup::ErrorCode;
    use wasmtime_wasi::p3::bindings::sockets::types::IpAddress;
    linker.allow_shadowing(true);
    let mut interface = linker.instance(INTERFACE_03)?;
    interface.func_wrap_concurrent("resolve-addresses", |guest, (name,): (String,)| {
        let egress = guest.with(|mut store| store.get().egress());
        Box::pin(async move {
            let found = egress.lookup(&name).await;
            let found = found.map(|found| found.into_iter().map(IpAddress::from).collect::<Vec<_>>());
            Ok((found.map_err(|error| match error {
                LookupError::NotFound(_) => ErrorCode::NameUnresolvable,
                LookupError::Temporary { .. } => ErrorCode::TemporaryResolverFailure,
                LookupError::Refused(_) => ErrorCode::AccessDenied,
                LookupError::Invalid(_) => ErrorCode::InvalidArgument,
            }),))
        })
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn pollable(table: &mut ResourceTable, answer: Resource<Answer>) -> wasmtime::Result<Resource<DynPollable>> {
    subscribe(table, answer)
}

impl Answer {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        if let Self::Awaited(asked) = self {
            let Poll::Ready(found) = Pin::new(asked).poll(task) else { return Poll::Pending };
            *self = Self::Known(found.map(Vec::into_iter).map_err(|error| match error {
                LookupError::NotFound(_) => ErrorCode::NameUnresolvable,
                LookupError::Temporary { .. } => ErrorCode::TemporaryResolverFailure,
                LookupError::Refused(_) => ErrorCode::AccessDenied,
                LookupError::Invalid(_) => ErrorCode::InvalidArgument,
            }));
        }
        Poll::Ready(())
    }

    fn next(&mut self) -> Result<Option<IpAddress>, ErrorCode> {
        let _ = self.poll(&mut Context::from_waker(Waker::noop()));
        match self {
            Self::Awaited(_) => Err(ErrorCode::WouldBlock),
            Self::Known(found) => {
                found.as_mut().map(|found| found.next().map(Into::into)).map_err(|code| *code)
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Answer {
    async fn ready(&mut self) {
        poll_fn(|task| self.poll(task)).await;
    }
}
