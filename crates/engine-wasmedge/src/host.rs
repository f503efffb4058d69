//! The host functions that replace WasmEdge's own, where those do less than guests are promised, or more than they may.
//!
//! | function | WasmEdge's own |
//! |---|---|
//! | `sock_getaddrinfo` | uses libc, which would load libraries that the image's files name |
//! | `sock_connect`, `sock_send_to` | check no address |
//! | `sock_bind` | accepts abstract unix names, which escape the root |
//! | `sock_getsockopt`, `sock_setsockopt`, `sock_shutdown` | pass values to the kernel that the ABI does not have |
//! | `sock_recv_from` of eight parameters | returns the sender's port in network order |
//! | `poll_oneoff` | never returns when a descriptor cannot be polled |
//! | all on paths | take every absolute link for an escape |
//! | `fd_prestat_get`, `fd_prestat_dir_name` | omit the first `/` of a directory's name |
//! | `proc_exit` | looks like a return; in a start function, not even that |
//!
//! Descriptors and sockets stay WasmEdge's: it maps the guest's number to the process's descriptor, and
//! [`worlds::socket`] makes the call, as on every engine.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;

use anyhow::Context;
use network::Egress;
use tokio::runtime::{Builder, Runtime};
use wasmedge_sdk::error::{CoreCommonError, CoreError};
use wasmedge_sdk::wasi::WasiModule;
use wasmedge_sdk::{CallingFrame, FuncType, Instance, ValType, WasmValue};
use wasmedge_sys::instance::function::SyncFn;
use wasmedge_sys::{AsInstance, Function, ffi};
use worlds::Memory;
use worlds::paths::PathCall;
use worlds::socket::{self, Errno, Others, Readiness, Sockets, getaddrinfo, named};

use crate::paths::{FUNCTIONS, PathFunction, Paths};

/// The first descriptor of a preopened directory.
const FIRST_PREOPENED: u32 = 3;

/// The state of the host functions, which lives as long as the process.
pub struct HostState {
    wasi: *const ffi::WasmEdge_ModuleInstanceContext,
    egress: Arc<Egress>,
    runtime: Runtime,
    /// The preopened directories: the process's descriptor and the name of each.
    directories: Vec<(Result<RawFd, Errno>, String)>,
    /// Empty except during a call.
    sockets: RefCell<Sockets>,
    paths: Paths,
    /// The guest's exit code.
    exited: Cell<Option<u32>>,
}

type HostFn = fn(&HostState, &mut Memory<'_>, &[u32]) -> Result<(), Errno>;

/// A host function.
struct Import {
    host: &'static HostState,
    work: Work,
}

/// What implements a function.
#[derive(Clone, Copy)]
enum Work {
    Ours(HostFn),
    Sockets(&'static socket::Call),
    Kernels(PathCall),
    WasmEdges(&'static PathFunction),
}

/// The socket functions that are replaced, each with its number of parameters.
const SOCKETS: [(&str, usize); 13] = [
    ("sock_getaddrinfo", 8),
    ("sock_bind", 3),
    ("sock_bind_v2", 3),
    ("sock_getsockopt", 5),
    ("sock_setsockopt", 5),
    ("sock_shutdown", 2),
    ("sock_connect", 3),
    ("sock_connect_v2", 3),
    ("sock_send_to", 7),
    ("sock_send_to_v2", 7),
    ("sock_recv_from", 7),
    ("sock_recv_from_v2", 8),
    ("poll_oneoff", 4),
];

/// The functions of preopened directories.
const PRESTATS: [(&str, usize, HostFn); 2] =
    [("fd_prestat_get", 2, prestat), ("fd_prestat_dir_name", 3, prestat_name)];

/// Replaces WasmEdge's functions by this file's. `directories` are the names of the preopened ones, in their order.
///
/// # Errors
/// When there is no event loop for them, or no memory.
pub fn replace(
    wasi: &mut WasiModule,
    egress: Arc<Egress>,
    directories: Vec<String>,
) -> anyhow::Result<&'static HostState> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot set up the guest's event loop")?;
    let sockets = RefCell::new(Sockets::within(Arc::clone(&egress)));
    let paths = Paths::of(wasi)?;
    // SAFETY: WasmEdge's module lives until the guest has ended, and never moves: only its handle does.
    let wasi = unsafe { wasi.as_ref().as_ptr() };
    let mut host =
        HostState { wasi, egress, runtime, directories: Vec::new(), sockets, paths, exited: Cell::new(None) };
    host.directories =
        (FIRST_PREOPENED..).zip(directories).map(|(fd, name)| (host.native(fd), name)).collect();
    // Leaked: the functions may be called until the process ends.
    let host: &'static HostState = Box::leak(Box::new(host));
    for (name, parameters) in SOCKETS {
        let import = named(name, parameters).with_context(|| format!("there is no {name}"))?;
        put(host, name, &vec![ValType::I32; parameters], 1, dispatch, Work::Sockets(&import.call))?;
    }
    for (name, parameters, call) in PRESTATS {
        put(host, name, &vec![ValType::I32; parameters], 1, dispatch, Work::Ours(call))?;
    }
    for call in PathCall::ALL {
        let (name, parameters, _) = call.import();
        put(host, name, &vec![ValType::I32; parameters], 1, dispatch, Work::Kernels(call))?;
    }
    for function in &FUNCTIONS {
        put(host, function.name, function.parameters, 1, dispatch, Work::WasmEdges(function))?;
    }
    put(host, "proc_exit", &[ValType::I32], 0, exit, Work::Ours(|_, _, _| Ok(())))?;
    Ok(host)
}

/// Adds a function to the module, with these parameters and this number of results.
fn put(
    host: &'static HostState,
    name: &str,
    parameters: &[ValType],
    results: usize,
    function: SyncFn<Import>,
    work: Work,
) -> anyhow::Result<()> {
    let ty = FuncType::new(parameters.to_vec(), vec![ValType::I32; results]);
    let import = Box::leak(Box::new(Import { host, work }));
    // SAFETY: `import` lives as long as the process.
    let function = unsafe { Function::create_sync_func(&ty, function, import, 0) }
        .with_context(|| format!("cannot make the host function {name}"))?;
    // SAFETY: all three live; the name is copied, and the module owns the function from here.
    unsafe {
        let name = ffi::WasmEdge_StringWrap(name.as_ptr().cast(), name.len() as u32);
        ffi::WasmEdge_ModuleInstanceAddFunction(host.wasi.cast_mut(), name, function.as_ptr());
    }
    std::mem::forget(function);
    Ok(())
}

/// `proc_exit`: records the code, and ends the guest.
fn exit(
    import: &mut Import,
    _: &mut Instance,
    _: &mut CallingFrame,
    arguments: Vec<WasmValue>,
) -> Result<Vec<WasmValue>, CoreError> {
    import.host.exited.set(arguments.first().map(|code| code.to_i32().cast_unsigned()));
    Err(CoreError::Common(CoreCommonError::Terminated))
}

/// Makes a call of the guest's, and returns its errno.
fn dispatch(
    import: &mut Import,
    _: &mut Instance,
    frame: &mut CallingFrame,
    arguments: Vec<WasmValue>,
) -> Result<Vec<WasmValue>, CoreError> {
    let wide: Vec<u64> = arguments
        .iter()
        .map(|argument| match argument.ty() {
            ValType::I64 => argument.to_i64().cast_unsigned(),
            _ => argument.to_i32().cast_unsigned().into(),
        })
        .collect();
    let narrow: Vec<u32> = wide.iter().map(|argument| *argument as u32).collect();
    let host = import.host;
    let outcome = in_memory(frame, |memory| match import.work {
        Work::Ours(call) => call(host, memory, &narrow).map(|()| 0),
        Work::Sockets(call) => host.on_socket(call, memory, &narrow).map(|()| 0),
        Work::Kernels(call) => host.on_path(call, memory, &narrow).map(|()| 0),
        Work::WasmEdges(function) => host.on_file(function, memory, &wide),
    });
    let errno = outcome.unwrap_or_else(|errno| i32::from(errno.number()));
    Ok(vec![WasmValue::from_i32(errno)])
}

fn in_memory<R>(
    frame: &mut CallingFrame,
    call: impl FnOnce(&mut Memory<'_>) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let mut memory = frame.memory_mut(0).ok_or(Errno::Fault)?;
    let length = u32::try_from(u64::from(memory.size()) << 16).unwrap_or(u32::MAX);
    // SAFETY: the range is within the memory, which neither grows nor is freed while the guest waits for this call.
    let bytes = unsafe {
        let start = memory.data_pointer_mut(0, length).map_err(|_| Errno::Fault)?;
        std::slice::from_raw_parts_mut(start, length as usize)
    };
    call(&mut Memory::new(bytes))
}

/// Whether the preopened directories are numbered in their order: WasmEdge opens them in order, but numbers them by
/// their addresses in its memory.
pub fn is_in_order(wasi: &WasiModule, directories: usize) -> bool {
    // SAFETY: the module outlives this function.
    let wasi = unsafe { wasi.as_ref().as_ptr() };
    let natives = (FIRST_PREOPENED..).take(directories).map(|fd| native(wasi, fd));
    natives.collect::<Result<Vec<_>, _>>().is_ok_and(|natives| natives.is_sorted())
}

/// The process's descriptor for the guest's `fd`.
fn native(wasi: *const ffi::WasmEdge_ModuleInstanceContext, fd: u32) -> Result<RawFd, Errno> {
    let mut native = 0;
    // SAFETY: `wasi` is a live module; the call writes one number.
    let failed =
        unsafe { ffi::WasmEdge_ModuleInstanceWASIGetNativeHandler(wasi, fd.cast_signed(), &raw mut native) };
    match RawFd::try_from(native) {
        Ok(native) if failed == 0 => Ok(native),
        _ => Err(Errno::BadF),
    }
}

impl HostState {
    /// The guest's exit code, if it has exited.
    pub fn exited(&self) -> Option<u32> {
        self.exited.get()
    }

    fn native(&self, fd: u32) -> Result<RawFd, Errno> {
        native(self.wasi, fd)
    }

    fn file(&self, fd: u32) -> Result<BorrowedFd<'static>, Errno> {
        // SAFETY: WasmEdge has it open for the guest, and closes nothing while the guest waits for this call.
        self.native(fd).map(|native| unsafe { BorrowedFd::borrow_raw(native) })
    }

    fn on_path(&self, call: PathCall, memory: &mut Memory<'_>, arguments: &[u32]) -> Result<(), Errno> {
        let (_, _, directories) = call.import();
        let directories = directories.iter().map(|nth| self.file(arguments[*nth]));
        call.perform(memory, &directories.collect::<Result<Vec<_>, _>>()?, arguments)
    }

    fn on_file(
        &self,
        function: &PathFunction,
        memory: &mut Memory<'_>,
        arguments: &[u64],
    ) -> Result<i32, Errno> {
        let native = self.native(arguments[0] as u32)?;
        // SAFETY: as in `file`; ManuallyDrop never closes it.
        let mut directory = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(native) });
        self.paths.call(function, memory, &mut directory, arguments)
    }

    /// Makes a socket call; during the call, the socket is in the table under the guest's number.
    fn on_socket(
        &self,
        call: &socket::Call,
        memory: &mut Memory<'_>,
        arguments: &[u32],
    ) -> Result<(), Errno> {
        let mut sockets = self.sockets.borrow_mut();
        match call {
            socket::Call::Open(function) => function(&mut sockets, memory, arguments),
            socket::Call::OnSocket(function) => {
                let fd = arguments[0];
                let socket = self.file(fd)?.try_clone_to_owned().map_err(|_| Errno::MFile)?;
                sockets.adopt(fd, socket);
                let done = function(&mut sockets, memory, arguments);
                let _ = sockets.fd_close(fd);
                done
            }
            socket::Call::LookUp => {
                let arguments = arguments.try_into().map_err(|_| Errno::Inval)?;
                self.runtime.block_on(getaddrinfo(&self.egress, memory, arguments))
            }
            socket::Call::Poll { edge } => {
                let &[input, output, count, events] = arguments else { return Err(Errno::Inval) };
                sockets.poll_oneoff(memory, input, output, count, events, *edge, &mut WasmEdgeFiles(self))
            }
        }
    }

    /// The name of a preopened directory, as long as the guest has it open under its first number.
    fn directory(&self, fd: u32) -> Result<&str, Errno> {
        let index = fd.checked_sub(FIRST_PREOPENED).ok_or(Errno::BadF)? as usize;
        let (native, name) = self.directories.get(index).ok_or(Errno::BadF)?;
        if self.native(fd)? == (*native)? { Ok(name) } else { Err(Errno::BadF) }
    }
}

/// WasmEdge's own descriptors.
struct WasmEdgeFiles<'a>(&'a HostState);

impl Others for WasmEdgeFiles<'_> {
    fn kind(&mut self, fd: u32, _write: bool) -> Result<Readiness, Errno> {
        self.0.file(fd).map(Readiness::Watch)
    }

    fn monotonic(&mut self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
    }
}

/// Writes a prestat: the tag of a directory (0), and the length of its name.
fn prestat(host: &HostState, memory: &mut Memory<'_>, arguments: &[u32]) -> Result<(), Errno> {
    let &[fd, at] = arguments else { return Err(Errno::Inval) };
    let length = host.directory(fd)?.len() as u64;
    memory.bytes_mut(at, 8)?.copy_from_slice(&(length << 32).to_le_bytes());
    Ok(())
}

fn prestat_name(host: &HostState, memory: &mut Memory<'_>, arguments: &[u32]) -> Result<(), Errno> {
    let &[fd, at, room] = arguments else { return Err(Errno::Inval) };
    let name = host.directory(fd)?.as_bytes();
    let name = name.get(..name.len().min(room as usize)).unwrap_or_default();
    memory.bytes_mut(at, name.len() as u32)?.copy_from_slice(name);
    Ok(())
}
