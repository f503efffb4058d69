//! WasmEdge's socket ABI as imports of a core module, and the preview 1 functions that take sockets, too.
//!
//! [`worlds::socket`] implements the calls; this file links them, each in the version that the module imports.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use network::Egress;
use wasmtime::{AsContextMut, Caller, Extern, ExternType, Linker, Module, bail};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1};
use wiggle::GuestMemory;
use worlds::Memory;
use worlds::socket::{Call, Errno, HostFn, Import, MODULE, Others, Readiness, Sockets, getaddrinfo, named};

use crate::clock;

/// Preview 1's first preopened descriptor.
const FIRST_PREOPENED: u32 = 3;

/// The state of these functions, besides preview 1's own.
pub struct Network {
    sockets: Sockets,
    egress: Arc<Egress>,
}

/// The state that these functions need.
pub trait SocketHost: Send + 'static {
    /// Preview 1's state and that of the sockets.
    fn parts(&mut self) -> (&mut WasiP1Ctx, &mut Network);
}

impl Network {
    /// With `listeners` as the guest's first preopened descriptors.
    pub fn new(egress: Arc<Egress>, listeners: Vec<OwnedFd>) -> Self {
        let mut sockets = Sockets::within(Arc::clone(&egress));
        for (number, listener) in (FIRST_PREOPENED..).zip(listeners) {
            sockets.insert_listener(number, listener);
        }
        Self { sockets, egress }
    }
}

/// The guest's memory as bytes, and its state.
///
/// # Errors
/// When it exports none.
pub fn split<'a, H: SocketHost>(
    caller: &'a mut Caller<'_, H>,
) -> wasmtime::Result<(&'a mut [u8], &'a mut H)> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory.data_and_store_mut(caller)),
        _ => bail!("the module exports no memory"),
    }
}

/// The errno for the guest; 0 for success.
pub fn number(outcome: Result<(), Errno>) -> u32 {
    outcome.map_or_else(|errno| u32::from(errno.number()), |()| 0)
}

/// Links a function of preview 1: for a socket ours, for any other descriptor preview 1's own, which may be async.
macro_rules! shared {
    ($linker:ident, $function:ident($fd:ident $(, $argument:ident)*) [$($wait:tt)*], $own:expr) => {
        $linker.func_wrap_async(
            MODULE,
            stringify!($function),
            |mut caller: Caller<'_, H>, ($fd, $($argument,)*): (u32, $(shared!(@u32 $argument),)*)| {
                Box::new(async move {
                    let fuel = caller.as_context_mut().hostcall_fuel();
                    let (memory, host) = split(&mut caller)?;
                    let (wasi, Network { sockets, .. }) = host.parts();
                    if sockets.contains($fd) {
                        let own: fn(&mut Sockets, &mut Memory<'_>, u32 $(, shared!(@u32 $argument))*) -> _ = $own;
                        return Ok(number(own(sockets, &mut Memory::new(memory), $fd $(, $argument)*)));
                    }
                    sockets.settle();
                    wasi.set_hostcall_fuel(fuel);
                    let mut memory = GuestMemory::Unshared(memory);
                    let (fd, memory) = ($fd.cast_signed(), &mut memory);
                    let errno = preview1::$function(wasi, memory, fd $(, $argument.cast_signed())*)$($wait)*?;
                    Ok(errno.cast_unsigned())
                })
            },
        )?;
    };
    (@u32 $argument:ident) => { u32 };
}

/// Links `poll_oneoff`, which polls clocks, sockets and standard input without a second thread.
///
/// # Errors
/// When the linker does not take it.
pub fn link_poll<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    poll(linker, "poll_oneoff", false)
}

/// Links the socket functions that `module` imports, and the preview 1 functions that take sockets.
///
/// # Errors
/// When the linker does not take them.
pub fn link<H: SocketHost>(linker: &mut Linker<H>, module: &Module) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for import in module.imports().filter(|import| import.module() == MODULE) {
        let ExternType::Func(ty) = import.ty() else { continue };
        let Some(import) = named(import.name(), ty.params().len()) else { continue };
        match import.call {
            Call::Open(function) | Call::OnSocket(function) => own(linker, import, function)?,
            Call::LookUp => look_up(linker, import.name)?,
            Call::Poll { edge } => poll(linker, import.name, edge)?,
        }
    }
    link_shared(linker)?;
    link_numbers(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Links a socket function. Its descriptor may be preview 1's.
fn own<H: SocketHost>(
    linker: &mut Linker<H>,
    import: &'static Import,
    function: HostFn,
) -> wasmtime::Result<()> {
    let on_socket = matches!(import.call, Call::OnSocket(_));
    let call = move |caller: &mut Caller<'_, H>, arguments: &[u32]| {
        let (memory, host) = split(caller)?;
        let (wasi, Network { sockets, .. }) = host.parts();
        if on_socket && !sockets.contains(arguments[0]) && Preview1Files(wasi).has(arguments[0]) {
            return Ok(number(Err(Errno::NotSock)));
        }
        wasmtime::Result::Ok(number(function(sockets, &mut Memory::new(memory), arguments)))
    };
    /// Links it with these parameters.
    macro_rules! of {
        ($($argument:ident)*) => {
            linker.func_wrap(MODULE, import.name, move |mut caller: Caller<'_, H>, $($argument: u32),*| {
                call(&mut caller, &[$($argument),*])
            })
        };
    }
    match import.parameters {
        2 => of!(a b),
        3 => of!(a b c),
        4 => of!(a b c d),
        5 => of!(a b c d e),
        6 => of!(a b c d e f),
        7 => of!(a b c d e f g),
        8 => of!(a b c d e f g h),
        other => bail!("{} has {other} parameters, which nothing here has", import.name),
    }
    .map(|_| ())
}

fn link_shared<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    shared!(linker, fd_fdstat_get(fd, stat)[.await], Sockets::fd_fdstat_get);
    shared!(linker, fd_fdstat_set_flags(fd, flags)[], |sockets, _, fd, flags| {
        sockets.fd_fdstat_set_flags(fd, flags)
    });
    shared!(linker, fd_filestat_get(fd, stat)[.await], Sockets::fd_filestat_get);
    shared!(linker, fd_prestat_get(fd, prestat)[], Sockets::fd_prestat_get);
    shared!(linker, fd_read(fd, iovs, count, length)[.await], Sockets::fd_read);
    shared!(linker, fd_write(fd, iovs, count, length)[.await], Sockets::fd_write);
    Ok(())
}

/// Links the calls that close or renumber descriptors. A socket's number that was a file's stays taken in preview 1's
/// table, which would give it to the next file otherwise.
fn link_numbers<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Caller<'_, H>, (fd,): (u32,)| {
        Box::new(async move {
            let (memory, host) = split(&mut caller)?;
            let (wasi, Network { sockets, .. }) = host.parts();
            if sockets.fd_close(fd).is_ok() && !Preview1Files(wasi).has(fd) {
                return Ok(0);
            }
            let mut memory = GuestMemory::Unshared(memory);
            Ok(preview1::fd_close(wasi, &mut memory, fd.cast_signed()).await?.cast_unsigned())
        })
    })?;
    linker
        .func_wrap_async(MODULE, "fd_renumber", |mut caller: Caller<'_, H>, (from, to): (u32, u32)| {
            Box::new(async move {
                let (memory, host) = split(&mut caller)?;
                let (wasi, Network { sockets, .. }) = host.parts();
                let mut memory = GuestMemory::Unshared(memory);
                if sockets.contains(from) {
                    let hides = Preview1Files(wasi).has(to);
                    let outcome = sockets.fd_renumber(from, to, hides);
                    if !sockets.contains(from) && Preview1Files(wasi).has(from) {
                        preview1::fd_close(wasi, &mut memory, from.cast_signed()).await?;
                    }
                    return Ok(number(outcome));
                }
                if sockets.contains(to) && Preview1Files(wasi).has(from) {
                    // Preview 1 only accepts a number of its own.
                    if !Preview1Files(wasi).has(to) {
                        return Ok(number(Err(Errno::NotSup)));
                    }
                    let _ = sockets.fd_close(to);
                }
                let (from, to) = (from.cast_signed(), to.cast_signed());
                Ok(preview1::fd_renumber(wasi, &mut memory, from, to).await?.cast_unsigned())
            })
        })
        .map(|_| ())
}

fn look_up<H: SocketHost>(linker: &mut Linker<H>, name: &str) -> wasmtime::Result<()> {
    type Arguments = (u32, u32, u32, u32, u32, u32, u32, u32);
    linker.func_wrap_async(MODULE, name, |mut caller: Caller<'_, H>, arguments: Arguments| {
        Box::new(async move {
            let (memory, host) = split(&mut caller)?;
            let network = host.parts().1;
            network.sockets.settle();
            let egress = Arc::clone(&network.egress);
            let mut memory = Memory::new(memory);
            wasmtime::Result::Ok(number(getaddrinfo(&egress, &mut memory, arguments.into()).await))
        })
    })?;
    Ok(())
}

fn poll<H: SocketHost>(linker: &mut Linker<H>, name: &str, edge: bool) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        name,
        move |mut caller: Caller<'_, H>, input: u32, output: u32, count: u32, events: u32| {
            let (memory, host) = split(&mut caller)?;
            let (wasi, Network { sockets, .. }) = host.parts();
            let mut memory = Memory::new(memory);
            let outcome = sockets.poll_oneoff(
                &mut memory,
                input,
                output,
                count,
                events,
                edge,
                &mut Preview1Files(wasi),
            );
            wasmtime::Result::Ok(number(outcome))
        },
    )?;
    Ok(())
}

/// Preview 1's own descriptors.
struct Preview1Files<'a>(&'a mut WasiP1Ctx);

impl Preview1Files<'_> {
    /// Whether preview 1 has something open under this number.
    fn has(&mut self, fd: u32) -> bool {
        let mut nothing = GuestMemory::Unshared(&mut []);
        let known = pin!(WasiSnapshotPreview1::fd_fdstat_get(self.0, &mut nothing, fd.into()));
        // Completes in one poll: files are read on this thread.
        !matches!(known.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }
}

impl Others for Preview1Files<'_> {
    fn kind(&mut self, fd: u32, write: bool) -> Result<Readiness, Errno> {
        match self.has(fd) {
            false => Err(Errno::BadF),
            // Writes to standard output block; files are always ready.
            true if fd == 0 && !write => Ok(Readiness::Watch(rustix::stdio::stdin())),
            true => Ok(Readiness::Ready),
        }
    }

    fn monotonic(&mut self) -> u64 {
        clock::now()
    }
}
