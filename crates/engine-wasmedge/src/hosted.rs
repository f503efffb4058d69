//! Core modules of the worlds that `worlds` has for every engine: linked to the host's functions by their table, and
//! driven from there.
//!
//! WasmEdge's calls do not wait, so what a function of the host's waits for is waited for in place: see [`wait`]. Neither
//! can they be interrupted: an instance that computes too long ends with its process.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::raw::c_void;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll, Waker};

use anyhow::{Context, anyhow, bail, ensure};
use engine::{
    Compiled, Core, Equipment, HostCall, Import, Instance, Loaded, Mapped, Module, Pending, Stopped,
};
use tokio::runtime::{Builder, Runtime};
use wasmedge_sdk::{
    AsInstance, ExternalInstanceType, FuncType, MemoryType, ValType, WasmEdgeResult, WasmValue,
};
use wasmedge_sys::{Config, Executor, Function, ImportModule, Loader, Memory, Store, Validator, ffi};
use workload::{Guest, HostedJob};

use crate::module::story;
use crate::{journal, settings};

/// A module in memory.
pub struct MappedHosted {
    code: Code,
    job: HostedJob,
}

struct Code {
    module: Arc<wasmedge_sys::Module>,
    /// It is mapped from here.
    _file: File,
}

impl MappedHosted {
    /// Maps compiled code.
    ///
    /// # Errors
    /// When the code cannot be used.
    #[expect(unreachable_code, reason = "no world is hosted yet")]
    pub fn open(code: Compiled, job: &HostedJob) -> anyhow::Result<Self> {
        let file = code.into_file();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        ensure!(Path::new(&path).exists(), "cannot map the compiled code: /proc is out of sight");
        journal::clear();
        let mapped = || {
            // The bound is of no meaning here.
            let config = settings::instances(u64::MAX)?;
            let module = Loader::create(Some(&config))?.from_file(&path)?;
            Validator::create(Some(&config))?.validate(&module)?;
            WasmEdgeResult::Ok(module)
        };
        let module = mapped()
            .map_err(|error| anyhow!("cannot map the compiled code: {}", journal::explained(&error)))?;
        Ok(Self { code: Code { module, _file: file }, job: job.clone() })
    }
}

impl Mapped for MappedHosted {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { code, job } = *self;
        let Equipment { bound, sockets, stop } = equipment;
        worlds::load(Unlinked { code, bound: bound.most() }, job, &guest, sockets, stop)
    }
}

/// A module that is to be linked; each of its memories may have so many bytes.
struct Unlinked {
    code: Code,
    bound: u64,
}

/// A module whose imports are all there.
struct Linked<S: 'static> {
    code: Code,
    config: Config,
    /// The one module that it imports from.
    from: String,
    imports: &'static [Import<S>],
    memory: Option<(String, MemoryType)>,
}

impl Core for Unlinked {
    fn link<S: Send + 'static>(self, imports: &'static [Import<S>]) -> anyhow::Result<Arc<dyn Module<S>>> {
        let Self { code, bound } = self;
        let from = imports.first().context("its world offers nothing")?.module.to_owned();
        let mut memory = None;
        for import in code.module.imports() {
            let (module, name) = (import.module_name().into_owned(), import.name().into_owned());
            let missing = || format!("it imports {module}::{name}, which its world has not");
            match import.ty()? {
                ExternalInstanceType::Memory(ty) if module == from && memory.is_none() => {
                    memory = Some((name, bounded(&ty, bound)?));
                }
                ExternalInstanceType::Func(ty) => {
                    let offered =
                        imports.iter().find(|offer| (offer.module, offer.name) == (&*module, &*name));
                    ensure!(
                        ty == type_of(offered.with_context(missing)?),
                        "its import {module}::{name} is of another type than its world has"
                    );
                }
                _ => bail!(missing()),
            }
        }
        let config = settings::instances(bound)?;
        Ok(Arc::new(Linked { code, config, from, imports, memory }))
    }
}

/// The memory that is made for it.
fn bounded(ty: &MemoryType, bound: u64) -> anyhow::Result<MemoryType> {
    let max = ty.maximum().unwrap_or(u32::MAX).min(settings::pages(bound));
    ensure!(
        ty.minimum() <= max,
        "its memory begins with {} bytes, and its limit is {bound}",
        u64::from(ty.minimum()) << 16
    );
    MemoryType::new(ty.minimum(), Some(max), false).context("its memory cannot be made")
}

fn type_of<S>(import: &Import<S>) -> FuncType {
    let results = if import.returns { vec![ValType::I32] } else { Vec::new() };
    FuncType::new(vec![ValType::I32; import.parameters], results)
}

impl<S: Send + 'static> Module<S> for Linked<S> {
    fn instantiate(&self, state: S) -> Pending<'_, Result<Box<dyn Instance<S>>, Stopped>> {
        Box::pin(async move {
            let made = self.make(state);
            made.map(|live| Box::new(live) as Box<dyn Instance<S>>)
                .map_err(|error| Stopped::NoRoom(format!("cannot make an instance of the guest: {error:#}")))
        })
    }
}

impl<S: Send + 'static> Linked<S> {
    fn make(&self, state: S) -> anyhow::Result<Live<S>> {
        let mut import = ImportModule::create(&self.from, Box::new(()))?;
        if let Some((name, ty)) = &self.memory {
            import.add_memory(name, Memory::create(ty)?);
        }
        let shared = Box::into_raw(Box::new(Shared { state, memory: ptr::null_mut(), failed: None }));
        let shared = Own(shared);
        let mut calls = Vec::new();
        for offered in self.imports {
            let call = Own(Box::into_raw(Box::new(Call { import: offered, shared: shared.0 })));
            // SAFETY: `call` lives as long as the instance: `Live` drops it last.
            let function = unsafe {
                Function::create_with_custom_wrapper(
                    &type_of(offered),
                    enter::<S>,
                    ptr::null_mut(),
                    call.0.cast(),
                    0,
                )
            };
            import.add_func(offered.name, function?);
            calls.push(call);
        }
        let (mut executor, mut store) = (Executor::create(Some(&self.config), None)?, Store::create()?);
        executor.register_import_module(&mut store, &import)?;
        let instance = executor.register_active_module(&mut store, &self.code.module)?;
        let live = Live { instance, store, executor, import, _calls: calls, shared };
        live.find_memory(self.memory.as_ref().map(|(name, _)| name.as_str()))?;
        Ok(live)
    }
}

/// Something that others know by its address, until this is dropped.
struct Own<T>(*mut T);

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: it came out of a box, and whoever knew the address is gone before its owner is.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

// SAFETY: it is a box's contents, of which there is one owner.
unsafe impl<T: Send> Send for Own<T> {}

/// What an instance and the functions that it calls share.
struct Shared<S> {
    state: S,
    memory: *mut ffi::WasmEdge_MemoryInstanceContext,
    /// Why a function of the host's ended the instance.
    failed: Option<String>,
}

// SAFETY: the memory is the instance's, which goes where this goes.
unsafe impl<S: Send> Send for Shared<S> {}

/// A function of the host's as one instance has it.
struct Call<S: 'static> {
    import: &'static Import<S>,
    shared: *mut Shared<S>,
}

// SAFETY: what it points to goes where it goes.
unsafe impl<S: Send> Send for Call<S> {}

/// An instance between calls. Dropped in this order.
struct Live<S: 'static> {
    instance: wasmedge_sdk::Instance,
    #[expect(dead_code, reason = "the instance is registered in it")]
    store: Store,
    executor: Executor,
    import: ImportModule<()>,
    _calls: Vec<Own<Call<S>>>,
    shared: Own<Shared<S>>,
}

impl<S: Send + 'static> Live<S> {
    /// Notes where the memory is: what was made for the module, or its own.
    fn find_memory(&self, imported: Option<&str>) -> anyhow::Result<()> {
        let (holder, name) = match imported {
            // SAFETY: both live; only their addresses are taken.
            Some(name) => (unsafe { self.import.as_ptr() }, name),
            // SAFETY: the same.
            None => (unsafe { self.instance.as_ptr() }, "memory"),
        };
        // SAFETY: the instance lives, and the name is read until this returns.
        let memory = unsafe { ffi::WasmEdge_ModuleInstanceFindMemory(holder, wrapped(name)) };
        ensure!(!memory.is_null(), "the module has no memory");
        // SAFETY: `shared` lives, and nobody else looks at it meanwhile.
        unsafe { (*self.shared.0).memory = memory };
        Ok(())
    }
}

impl<S: Send + 'static> Instance<S> for Live<S> {
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>> {
        let called = match self.instance.get_func_mut(export) {
            Ok(mut function) => {
                journal::clear();
                let arguments = arguments.iter().map(|number| WasmValue::from_i32(number.cast_signed()));
                self.executor.call_func(&mut function, arguments)
            }
            Err(_) => return Box::pin(async { Ok(None) }),
        };
        // SAFETY: `shared` lives, and no function of the host's is at work any more.
        let failed = unsafe { (*self.shared.0).failed.take() };
        let outcome = match (called, failed) {
            (_, Some(failed)) => Err(Stopped::Trap(failed)),
            (Ok(results), None) => Ok(results.first().map(|value| value.to_i32().cast_unsigned())),
            (Err(error), None) => Err(Stopped::Trap(story(&error))),
        };
        Box::pin(async move { outcome })
    }

    fn exports(&mut self, function: &str) -> bool {
        self.instance.get_func_mut(function).is_ok()
    }

    fn parts(&mut self) -> (&mut [u8], &mut S) {
        // SAFETY: the instance is at rest while it is borrowed.
        unsafe { parts(self.shared.0) }
    }
}

/// # Safety
/// `shared` lives as long as `'a`, and for that time nobody else has a part of it, nor does the instance run.
unsafe fn parts<'a, S>(shared: *mut Shared<S>) -> (&'a mut [u8], &'a mut S) {
    // SAFETY: the caller's promise; the range is the memory's own.
    unsafe {
        let Shared { state, memory, .. } = &mut *shared;
        let length = ffi::WasmEdge_MemoryInstanceGetPageSize(*memory) << 16;
        let start = ffi::WasmEdge_MemoryInstanceGetPointer(*memory, 0, length);
        let bytes: &mut [u8] =
            if start.is_null() { &mut [] } else { std::slice::from_raw_parts_mut(start, length as usize) };
        (bytes, state)
    }
}

/// An instance that has called the host.
struct Within<S> {
    executor: *mut ffi::WasmEdge_ExecutorContext,
    instance: *const ffi::WasmEdge_ModuleInstanceContext,
    shared: *mut Shared<S>,
}

// SAFETY: the instance waits until this is gone, on whichever thread that is.
unsafe impl<S: Send> Send for Within<S> {}

impl<S: Send + 'static> Instance<S> for Within<S> {
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>> {
        let outcome = match self.function(export) {
            // SAFETY: the function is the instance's, which has called the host and may be called by it.
            Some(function) => unsafe { self.invoke(function, arguments) },
            None => Ok(None),
        };
        Box::pin(async move { outcome })
    }

    fn exports(&mut self, function: &str) -> bool {
        self.function(function).is_some()
    }

    fn parts(&mut self) -> (&mut [u8], &mut S) {
        // SAFETY: the instance waits for the host.
        unsafe { parts(self.shared) }
    }
}

impl<S> Within<S> {
    fn function(&self, export: &str) -> Option<*mut ffi::WasmEdge_FunctionInstanceContext> {
        // SAFETY: the instance lives, and the name is read until this returns.
        let function = unsafe { ffi::WasmEdge_ModuleInstanceFindFunction(self.instance, wrapped(export)) };
        (!function.is_null()).then_some(function)
    }

    /// # Safety
    /// `function` is the instance's.
    unsafe fn invoke(
        &self,
        function: *mut ffi::WasmEdge_FunctionInstanceContext,
        arguments: &[u32],
    ) -> Result<Option<u32>, Stopped> {
        // SAFETY: the caller's promise; there is room for as many results as the type says, and each is written.
        unsafe {
            let ty = ffi::WasmEdge_FunctionInstanceGetFunctionType(function);
            let count = ffi::WasmEdge_FunctionTypeGetReturnsLength(ty);
            let value = |number: &u32| ffi::WasmEdge_ValueGenI32(number.cast_signed());
            let arguments: Vec<_> = arguments.iter().map(value).collect();
            let mut results = vec![ffi::WasmEdge_ValueGenI32(0); count as usize];
            let outcome = ffi::WasmEdge_ExecutorInvoke(
                self.executor,
                function,
                arguments.as_ptr(),
                arguments.len() as u32,
                results.as_mut_ptr(),
                count,
            );
            if !ffi::WasmEdge_ResultOK(outcome) {
                return Err(Stopped::Trap("wasm trap in a call of the host's".into()));
            }
            Ok(results.first().map(|value| ffi::WasmEdge_ValueGetI32(*value).cast_unsigned()))
        }
    }
}

fn wrapped(name: &str) -> ffi::WasmEdge_String {
    // SAFETY: it is as long as the text, and lives no longer.
    unsafe { ffi::WasmEdge_StringWrap(name.as_ptr().cast(), name.len() as u32) }
}

/// A function of the host's, as WasmEdge calls it.
unsafe extern "C" fn enter<S: Send + 'static>(
    _key: *mut c_void,
    call: *mut c_void,
    frame: *const ffi::WasmEdge_CallingFrameContext,
    given: *const ffi::WasmEdge_Value,
    count: u32,
    results: *mut ffi::WasmEdge_Value,
    result_count: u32,
) -> ffi::WasmEdge_Result {
    const DONE: ffi::WasmEdge_Result = ffi::WasmEdge_Result { Code: 0 };
    const FAILED: ffi::WasmEdge_Result = ffi::WasmEdge_Result { Code: 2 };
    // SAFETY: it is the call that the function was made with, which lives as long as the instance.
    let Call { import, shared } = unsafe { &*call.cast::<Call<S>>() };
    let arguments: Vec<u32> = (0..count as usize)
        // SAFETY: WasmEdge hands so many values, each of 32 bits by the function's type.
        .map(|nth| unsafe { ffi::WasmEdge_ValueGetI32(*given.add(nth)) }.cast_unsigned())
        .collect();
    let answer = match import.call {
        HostCall::Plain(function) => {
            // SAFETY: the instance waits for the host.
            let (memory, state) = unsafe { parts(*shared) };
            function(memory, state, &arguments)
        }
        HostCall::Within(function) => {
            // SAFETY: the frame is whole until this returns.
            let (executor, instance) = unsafe {
                (
                    ffi::WasmEdge_CallingFrameGetExecutor(frame),
                    ffi::WasmEdge_CallingFrameGetModuleInstance(frame),
                )
            };
            let mut within = Within { executor, instance, shared: *shared };
            wait(function(&mut within, &arguments)).and_then(|answer| answer)
        }
    };
    match answer {
        Ok(number) => {
            if result_count == 1 {
                // SAFETY: WasmEdge has room for as many results as the function's type has, which is one.
                unsafe { *results = ffi::WasmEdge_ValueGenI32(number.cast_signed()) };
            }
            DONE
        }
        Err(error) => {
            // SAFETY: the instance waits for the host.
            unsafe { (**shared).failed = Some(format!("{error:#}")) };
            FAILED
        }
    }
}

/// What `future` comes to. The thread that is here runs the guest's event loop, which must not wait in itself: another one
/// does, on a loop of its own.
///
/// # Errors
/// When there can be no further thread.
fn wait<T: Send>(mut future: Pending<'_, T>) -> anyhow::Result<T> {
    static LOOP: OnceLock<Option<Runtime>> = OnceLock::new();
    // Most wait for nothing.
    let set_up = || Builder::new_multi_thread().worker_threads(1).enable_io().enable_time().build().ok();
    if let Some(waiting) = LOOP.get() {
        let _inside = waiting.as_ref().map(Runtime::enter);
        if let Poll::Ready(done) = future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
            return Ok(done);
        }
    }
    let runtime = LOOP.get_or_init(set_up).as_ref().context("there is no thread to wait for the network")?;
    let waited = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
    waited.map_err(|_| anyhow!("a function of the host's failed"))
}
