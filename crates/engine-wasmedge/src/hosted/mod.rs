//! Core modules of the engine-neutral worlds in `worlds`: links the host functions of their tables; `worlds` runs them.
//!
//! WasmEdge's calls are not async, so a host function that waits blocks the call: see `within`. Nor can they be
//! interrupted: an instance that computes too long ends with its process.

mod within;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use engine::{
    Compiled, Core, Equipment, Import, Instance, Loaded, Mapped, Module, Pending, Stopped, too_large,
};
use wasmedge_sdk::{
    AsInstance, ExternalInstanceType, FuncType, MemoryType, ValType, WasmEdgeResult, WasmValue,
};
use wasmedge_sys::{Config, Executor, Function, ImportModule, Loader, Memory, Store, Validator, ffi};
use workload::{Guest, HostedJob};

use crate::module::story;
use crate::{journal, settings};

use within::enter;

/// A mapped module.
pub struct MappedHosted {
    code: Code,
    job: HostedJob,
}

struct Code {
    module: Arc<wasmedge_sys::Module>,
    /// The file that it is mapped from.
    _file: File,
}

impl MappedHosted {
    /// Maps compiled code.
    ///
    /// # Errors
    /// When the code cannot be used.
    pub fn open(code: Compiled, job: &HostedJob) -> anyhow::Result<Self> {
        let file = code.into_file();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        ensure!(Path::new(&path).exists(), "cannot map the compiled code: /proc is out of sight");
        journal::clear();
        let mapped = || {
            // Mapping ignores the bound.
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
        worlds::load(Unlinked { code, bound: bound.max() }, job, &guest, sockets, stop)
    }
}

/// A module to be linked; each of its memories may have `bound` bytes.
struct Unlinked {
    code: Code,
    bound: u64,
}

/// A linked module.
struct Linked<S: 'static> {
    code: Code,
    config: Config,
    /// The module that it imports from.
    from: String,
    imports: &'static [Import<S>],
    memory: Option<(String, MemoryType)>,
}

impl Core for Unlinked {
    fn link<S: Send + 'static>(
        self,
        imports: &'static [Import<S>],
        min_pages: u32,
    ) -> anyhow::Result<Arc<dyn Module<S>>> {
        let Self { code, bound } = self;
        let from = imports.first().context("its world offers nothing")?.module.to_owned();
        let mut memory = None;
        for import in code.module.imports() {
            let (module, name) = (import.module_name().into_owned(), import.name().into_owned());
            let missing = || format!("it imports {module}::{name}, which its world has not");
            match import.ty()? {
                ExternalInstanceType::Memory(ty) if module == from && memory.is_none() => {
                    memory = Some((name, bounded(&ty, min_pages, bound)?));
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

/// The type of the memory that is created for it.
fn bounded(ty: &MemoryType, min_pages: u32, bound: u64) -> anyhow::Result<MemoryType> {
    let max = ty.maximum().unwrap_or(u32::MAX).min(settings::pages(bound));
    let min = ty.minimum().max(min_pages);
    ensure!(min <= max, too_large(u64::from(min) << 16, 0, bound));
    MemoryType::new(min, Some(max), false).context("its memory cannot be made")
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
        let shared = Box::into_raw(Box::new(SharedState { state, memory: ptr::null_mut(), failed: None }));
        let shared = Own(shared);
        let mut calls = Vec::new();
        for offered in self.imports {
            let call = Own(Box::into_raw(Box::new(BoundImport { import: offered, shared: shared.0 })));
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

/// A box to which others hold pointers, until this is dropped.
struct Own<T>(*mut T);

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and everything that holds the pointer is dropped before its owner.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

// SAFETY: it is the contents of a box, with one owner.
unsafe impl<T: Send> Send for Own<T> {}

/// The state that an instance and its host functions share.
struct SharedState<S> {
    state: S,
    memory: *mut ffi::WasmEdge_MemoryInstanceContext,
    /// The error of the host function that ended the instance.
    failed: Option<String>,
}

// SAFETY: the memory is the instance's, which moves between threads together with this.
unsafe impl<S: Send> Send for SharedState<S> {}

/// A host function, bound to one instance.
struct BoundImport<S: 'static> {
    import: &'static Import<S>,
    shared: *mut SharedState<S>,
}

// SAFETY: what it points to moves between threads together with it.
unsafe impl<S: Send> Send for BoundImport<S> {}

/// An instance between calls. Fields are dropped in this order.
struct Live<S: 'static> {
    instance: wasmedge_sdk::Instance,
    #[expect(dead_code, reason = "the instance is registered in it")]
    store: Store,
    executor: Executor,
    import: ImportModule<()>,
    _calls: Vec<Own<BoundImport<S>>>,
    shared: Own<SharedState<S>>,
}

impl<S: Send + 'static> Live<S> {
    /// Finds the memory, the one created for the module or its own, and stores its address.
    fn find_memory(&self, imported: Option<&str>) -> anyhow::Result<()> {
        let (holder, name) = match imported {
            // SAFETY: both live; only their addresses are taken.
            Some(name) => (unsafe { self.import.as_ptr() }, name),
            // SAFETY: the same.
            None => (unsafe { self.instance.as_ptr() }, "memory"),
        };
        // SAFETY: the instance lives, and the name is only read until this returns.
        let memory = unsafe { ffi::WasmEdge_ModuleInstanceFindMemory(holder, wrapped(name)) };
        ensure!(!memory.is_null(), "the module has no memory");
        // SAFETY: `shared` lives, and nothing else accesses it now.
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
        // SAFETY: `shared` lives, and no host function is running any more.
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
        // SAFETY: the instance does not run while it is borrowed.
        unsafe { parts(self.shared.0) }
    }
}

/// # Safety
/// `shared` lives as long as `'a`, and for that time nothing else borrows from it, nor does the instance run.
unsafe fn parts<'a, S>(shared: *mut SharedState<S>) -> (&'a mut [u8], &'a mut S) {
    // SAFETY: the caller's promise; the range is the whole memory.
    unsafe {
        let SharedState { state, memory, .. } = &mut *shared;
        let length = ffi::WasmEdge_MemoryInstanceGetPageSize(*memory) << 16;
        let start = ffi::WasmEdge_MemoryInstanceGetPointer(*memory, 0, length);
        let bytes: &mut [u8] =
            if start.is_null() { &mut [] } else { std::slice::from_raw_parts_mut(start, length as usize) };
        (bytes, state)
    }
}

/// A name as WasmEdge's string, valid as long as the text.
fn wrapped(name: &str) -> ffi::WasmEdge_String {
    // SAFETY: it has the text's length, and does not outlive it.
    unsafe { ffi::WasmEdge_StringWrap(name.as_ptr().cast(), name.len() as u32) }
}
