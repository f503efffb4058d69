//! `wasi:sockets/ip-name-lookup` without libc's resolver, which would load libraries that the image's files name.

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

/// The state that this interface needs.
pub trait EgressView: WasiView + 'static {
    /// Resolves and checks addresses.
    fn egress(&self) -> Arc<Egress>;
}

/// The resource `resolve-address-stream`: a query, then the addresses left to return.
enum AddressStream {
    Pending(AbortOnDropJoinHandle<Result<Vec<IpAddr>, LookupError>>),
    Resolved(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

/// Replaces Wasmtime's functions by this file's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<T: EgressView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource(
        "resolve-address-stream",
        ResourceType::host::<AddressStream>(),
        |mut store, number| {
            store.data_mut().ctx().table.delete(Resource::<AddressStream>::new_own(number))?;
            Ok(())
        },
    )?;
    interface.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, T>, (network, name): (Resource<Network>, String)| {
            let egress = store.data().egress();
            let table = store.data_mut().ctx().table;
            // Traps unless the guest holds the network resource.
            table.get(&network)?;
            let query = spawn(async move { egress.lookup(&name).await });
            Ok((Ok::<_, ErrorCode>(table.push(AddressStream::Pending(query))?),))
        },
    )?;
    interface.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, T>, (stream,): (Resource<AddressStream>,)| {
            let stream = store.data_mut().ctx().table.get_mut(&stream)?;
            Ok((stream.next(),))
        },
    )?;
    interface.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, T>, (stream,): (Resource<AddressStream>,)| {
            Ok((pollable(store.data_mut().ctx().table, stream)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces Wasmtime's function by this file's, for WASI 0.3.
///
/// # Errors
/// When the linker does not take it.
#[cfg(feature = "p3")]
pub fn link_03<T: EgressView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
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

fn pollable(
    table: &mut ResourceTable,
    stream: Resource<AddressStream>,
) -> wasmtime::Result<Resource<DynPollable>> {
    subscribe(table, stream)
}

impl AddressStream {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        if let Self::Pending(query) = self {
            let Poll::Ready(found) = Pin::new(query).poll(task) else { return Poll::Pending };
            *self = Self::Resolved(found.map(Vec::into_iter).map_err(|error| match error {
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
            Self::Pending(_) => Err(ErrorCode::WouldBlock),
            Self::Resolved(found) => {
                found.as_mut().map(|found| found.next().map(Into::into)).map_err(|code| *code)
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for AddressStream {
    async fn ready(&mut self) {
        poll_fn(|task| self.poll(task)).await;
    }
}
