//! The host functions that stand in the place of WasmEdge's: where those would give a guest less than it is
//! promised, or more than it may have.
//!
//! | function | WasmEdge's own |
//! |---|---|
//! | `sock_getaddrinfo` | asks libc, which asks the image's files whom to load |
//! | `sock_connect`, `sock_send_to` | judge no address |
//! | `sock_bind` | takes unix sockets without a file, which lead out of the root |
//! | `sock_getsockopt`, `sock_setsockopt`, `sock_shutdown` | hand the kernel what the ABI does not have |
//! | `sock_recv_from` of eight parameters | tells the sender's port in network order |
//! | `poll_oneoff` | never returns when a descriptor cannot be polled |
//! | all on paths | take every absolute link for an escape |
//! | `fd_prestat_get`, `fd_prestat_dir_name` | leave out the first `/` of a folder's name |
//! | `proc_exit` | is not to be told from a return; one in a start function is not even that |
//!
//! Descriptors and sockets stay WasmEdge's: it is asked which of the process's is meant, and the call itself is
//! [`worlds::socket`]'s, as on every engine.

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

use crate::paths::{Paths, QUESTIONS, Question};

/// Where the descriptors of preopened folders begin.
const FIRST_PREOPENED: u32 = 3;

/// What the functions work on, for as long as the process lives.
pub struct Host {
    wasi: *const ffi::WasmEdge_ModuleInstanceContext,
    egress: Arc<Egress>,
    runtime: Runtime,
    /// The names of preopened folders, and which of the process's descriptors each is.
    folders: Vec<(Result<RawFd, Errno>, String)>,
    /// Empty but for the time of a call.
    sockets: RefCell<Sockets>,
    paths: Paths,
    /// What the guest exited with.
    exited: Cell<Option<u32>>,
}

type Call = fn(&Host, &mut Memory<'_>, &[u32]) -> Result<(), Errno>;

/// One function.
struct Import {
    host: &'static Host,
    work: Work,
}

/// Who does what a function is for.
#[derive(Clone, Copy)]
enum Work {
    Ours(Call),
    Sockets(&'static socket::Call),
    Kernels(PathCall),
    WasmEdges(&'static Question),
}

/// The functions of the sockets that are not left to WasmEdge, each with its number of parameters.
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

/// Those of preopened folders.
const FOLDERS: [(&str, usize, Call); 2] =
    [("fd_prestat_get", 2, prestat), ("fd_prestat_dir_name", 3, prestat_name)];

/// Puts this file's functions in the place of WasmEdge's. `folders` are the names of those that are preopened, in
/// their order.
///
/// # Errors
/// When there is no event loop for them, or no memory.
pub fn replace(
    wasi: &mut WasiModule,
    egress: Arc<Egress>,
    folders: Vec<String>,
) -> anyhow::Result<&'static Host> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot set up the guest's event loop")?;
    let sockets = RefCell::new(Sockets::within(Arc::clone(&egress)));
    let paths = Paths::of(wasi)?;
    // SAFETY: WasmEdge's module lives until the guest has ended, and moves nowhere: only its handle does.
    let wasi = unsafe { wasi.as_ref().as_ptr() };
    let mut host =
        Host { wasi, egress, runtime, folders: Vec::new(), sockets, paths, exited: Cell::new(None) };
    host.folders = (FIRST_PREOPENED..).zip(folders).map(|(fd, name)| (host.native(fd), name)).collect();
    // As long as the process: they may be called until it ends.
    let host: &'static Host = Box::leak(Box::new(host));
    for (name, parameters) in SOCKETS {
        let import = named(name, parameters).with_context(|| format!("there is no {name}"))?;
        put(host, name, &vec![ValType::I32; parameters], 1, answer, Work::Sockets(&import.call))?;
    }
    for (name, parameters, call) in FOLDERS {
        put(host, name, &vec![ValType::I32; parameters], 1, answer, Work::Ours(call))?;
    }
    for call in PathCall::ALL {
        let (name, parameters, _) = call.import();
        put(host, name, &vec![ValType::I32; parameters], 1, answer, Work::Kernels(call))?;
    }
    for question in &QUESTIONS {
        put(host, question.name, question.parameters, 1, answer, Work::WasmEdges(question))?;
    }
    put(host, "proc_exit", &[ValType::I32], 0, exit, Work::Ours(|_, _, _| Ok(())))?;
    Ok(host)
}

/// Puts one into the module, with so many parameters and results.
fn put(
    host: &'static Host,
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
    // SAFETY: all three live; the name is copied, and the function is the module's own from here.
    unsafe {
        let name = ffi::WasmEdge_StringWrap(name.as_ptr().cast(), name.len() as u32);
        ffi::WasmEdge_ModuleInstanceAddFunction(host.wasi.cast_mut(), name, function.as_ptr());
    }
    std::mem::forget(function);
    Ok(())
}

/// `proc_exit`: notes the code, and ends the guest.
fn exit(
    import: &mut Import,
    _: &mut Instance,
    _: &mut CallingFrame,
    arguments: Vec<WasmValue>,
) -> Result<Vec<WasmValue>, CoreError> {
    import.host.exited.set(arguments.first().map(|code| code.to_i32().cast_unsigned()));
    Err(CoreError::Common(CoreCommonError::Terminated))
}

/// A call, with the guest's memory around it.
fn answer(
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
    let answered = in_memory(frame, |memory| match import.work {
        Work::Ours(call) => call(host, memory, &narrow).map(|()| 0),
        Work::Sockets(call) => host.on_socket(call, memory, &narrow).map(|()| 0),
        Work::Kernels(call) => host.on_path(call, memory, &narrow).map(|()| 0),
        Work::WasmEdges(question) => host.on_file(question, memory, &wide),
    });
    let errno = answered.unwrap_or_else(|errno| i32::from(errno.number()));
    Ok(vec![WasmValue::from_i32(errno)])
}

fn in_memory<R>(
    frame: &mut CallingFrame,
    call: impl FnOnce(&mut Memory<'_>) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let mut memory = frame.memory_mut(0).ok_or(Errno::Fault)?;
    let length = u32::try_from(u64::from(memory.size()) << 16).unwrap_or(u32::MAX);
    // SAFETY: the range is the memory's own, which neither grows nor goes while the guest waits for this call.
    let bytes = unsafe {
        let start = memory.data_pointer_mut(0, length).map_err(|_| Errno::Fault)?;
        std::slice::from_raw_parts_mut(start, length as usize)
    };
    call(&mut Memory::new(bytes))
}

/// Whether the preopened folders have the numbers they should have: WasmEdge opens them in their order, and numbers
/// them by where in memory it happens to keep them.
pub fn is_in_order(wasi: &WasiModule, folders: usize) -> bool {
    // SAFETY: the module outlives this function.
    let wasi = unsafe { wasi.as_ref().as_ptr() };
    let natives = (FIRST_PREOPENED..).take(folders).map(|fd| native(wasi, fd));
    natives.collect::<Result<Vec<_>, _>>().is_ok_and(|natives| natives.is_sorted())
}

/// Which of the process's descriptors the guest means.
fn native(wasi: *const ffi::WasmEdge_ModuleInstanceContext, fd: u32) -> Result<RawFd, Errno> {
    let mut native = 0;
    // SAFETY: `wasi` is a module that lives; a number is written.
    let failed =
        unsafe { ffi::WasmEdge_ModuleInstanceWASIGetNativeHandler(wasi, fd.cast_signed(), &raw mut native) };
    match RawFd::try_from(native) {
        Ok(native) if failed == 0 => Ok(native),
        _ => Err(Errno::BadF),
    }
}

impl Host {
    /// What the guest exited with, if it did.
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

    fn on_file(&self, question: &Question, memory: &mut Memory<'_>, arguments: &[u64]) -> Result<i32, Errno> {
        let native = self.native(arguments[0] as u32)?;
        // SAFETY: as in `file`; it is not closed here.
        let mut directory = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(native) });
        self.paths.ask(question, memory, &mut directory, arguments)
    }

    /// A call of the sockets; a socket is taken in under the guest's number for the time of it.
    fn on_socket(
        &self,
        call: &socket::Call,
        memory: &mut Memory<'_>,
        arguments: &[u32],
    ) -> Result<(), Errno> {
        let mut sockets = self.sockets.borrow_mut();
        match call {
            socket::Call::Open(answer) => answer(&mut sockets, memory, arguments),
            socket::Call::OnSocket(answer) => {
                let fd = arguments[0];
                let socket = self.file(fd)?.try_clone_to_owned().map_err(|_| Errno::MFile)?;
                sockets.adopt(fd, socket);
                let done = answer(&mut sockets, memory, arguments);
                let _ = sockets.fd_close(fd);
                done
            }
            socket::Call::LookUp => {
                let arguments = arguments.try_into().map_err(|_| Errno::Inval)?;
                self.runtime.block_on(getaddrinfo(&self.egress, memory, arguments))
            }
            socket::Call::Poll { edge } => {
                let &[input, output, count, events] = arguments else { return Err(Errno::Inval) };
                sockets.poll_oneoff(memory, input, output, count, events, *edge, &mut Files(self))
            }
        }
    }

    /// The name of a preopened folder, as long as the guest has it open where it was.
    fn folder(&self, fd: u32) -> Result<&str, Errno> {
        let index = fd.checked_sub(FIRST_PREOPENED).ok_or(Errno::BadF)? as usize;
        let (native, name) = self.folders.get(index).ok_or(Errno::BadF)?;
        if self.native(fd)? == (*native)? { Ok(name) } else { Err(Errno::BadF) }
    }
}

/// WasmEdge's descriptors, for a poll.
struct Files<'a>(&'a Host);

impl Others for Files<'_> {
    fn kind(&mut self, fd: u32, _write: bool) -> Result<Readiness, Errno> {
        self.0.file(fd).map(Readiness::Watch)
    }

    fn monotonic(&mut self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
    }
}

/// A prestat: a folder (0), and the length of its name.
fn prestat(host: &Host, memory: &mut Memory<'_>, arguments: &[u32]) -> Result<(), Errno> {
    let &[fd, place] = arguments else { return Err(Errno::Inval) };
    let length = host.folder(fd)?.len() as u64;
    memory.bytes_mut(place, 8)?.copy_from_slice(&(length << 32).to_le_bytes());
    Ok(())
}

fn prestat_name(host: &Host, memory: &mut Memory<'_>, arguments: &[u32]) -> Result<(), Errno> {
    let &[fd, place, room] = arguments else { return Err(Errno::Inval) };
    let name = host.folder(fd)?.as_bytes();
    let name = name.get(..name.len().min(room as usize)).unwrap_or_default();
    memory.bytes_mut(place, name.len() as u32)?.copy_from_slice(name);
    Ok(())
}
