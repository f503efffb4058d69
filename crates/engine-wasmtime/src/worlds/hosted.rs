//! Core modules of the engine-neutral worlds in `worlds`: links the host functions of their tables; `worlds` runs them.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use engine::{
    Compiled, Core, Equipment, HostCall, Import, Instance, Loaded, Mapped, Module, Pending, Stopped,
};
use wasmtime::{
    AsContextMut, Caller, Engine, Error, Extern, ExternType, Func, FuncType, Linker, Memory, MemoryType,
    PoolConcurrencyLimitError, Store, StoreContextMut, Trap, Val, ValType,
};
use workload::{Guest, HostedJob, Shape};

use crate::ending::{sentence, story};
use crate::limits::{self, Bounded, MemoryBound};
use crate::settings::Calls;
use crate::ticks::Ticks;
use crate::{code, heaps, limits as bounds, settings};

/// A mapped module, with an engine of its own, whose instances can be interrupted.
pub struct Hosted {
    module: wasmtime::Module,
    job: HostedJob,
}

impl Hosted {
    /// Compiles a module with the configuration that will run it.
    ///
    /// # Errors
    /// A sentence that names what is not valid.
    pub fn compile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
        engine(1, settings::MAX_STACK)?.precompile_module(wasm).map_err(sentence)
    }

    /// Maps the code of a guest with this job.
    ///
    /// # Errors
    /// When the code was compiled for another configuration, or the address space is too small for the instances.
    pub fn map(code: Compiled, job: &HostedJob) -> anyhow::Result<Self> {
        let engine = match job.shape() {
            Shape::RunsOnce(once) => {
                engine(1, once.stack.unwrap_or(settings::MAX_STACK).min(settings::MAX_STACK))
            }
            Shape::AnswersRequests(http) => engine(http.concurrency, http.stack),
        }?;
        Ok(Self { module: code::module(&engine, code)?, job: job.clone() })
    }
}

fn engine(max: usize, stack: usize) -> anyhow::Result<Engine> {
    Engine::new(&settings::serving(Calls::Nested, max, stack)).map_err(sentence)
}

impl Mapped for Hosted {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { module, job } = *self;
        let Equipment { bound, sockets, stop } = equipment;
        let memory = bounds::Memory::new(bound);
        memory.admit(Some(&module.resources_required()))?;
        if let Shape::AnswersRequests(http) = job.shape() {
            heaps::for_each_of(server::threads(http));
        }
        let ticks = match job.shape() {
            Shape::AnswersRequests(_) => {
                Some(Arc::new(Ticks::start(module.engine().clone(), memory.clone())?))
            }
            Shape::RunsOnce(_) => None,
        };
        worlds::load(Unlinked { module, memory, ticks }, job, &guest, sockets, stop)
    }
}

/// A module to be linked.
struct Unlinked {
    module: wasmtime::Module,
    memory: bounds::Memory,
    ticks: Option<Arc<Ticks>>,
}

/// A module that is linked, except for the memory that it may import.
struct Linked<S: 'static> {
    module: wasmtime::Module,
    linker: Linker<InstanceState<S>>,
    imported: Option<ImportedMemory>,
    bound: bounds::Memory,
    ticks: Option<Arc<Ticks>>,
}

struct ImportedMemory {
    module: String,
    name: String,
    ty: MemoryType,
}

/// The state of one instance's host functions.
struct InstanceState<S> {
    world: S,
    bound: MemoryBound,
    memory: Option<Memory>,
}

impl<S> Bounded for InstanceState<S> {
    fn memory(&mut self) -> &mut MemoryBound {
        &mut self.bound
    }
}

impl Core for Unlinked {
    fn link<S: Send + 'static>(
        self,
        imports: &'static [Import<S>],
        min_pages: u32,
    ) -> anyhow::Result<Arc<dyn Module<S>>> {
        let Self { module, memory, ticks } = self;
        let mut linker = Linker::new(module.engine());
        let mut imported = None;
        for import in module.imports() {
            let (from, name) = (import.module(), import.name());
            match import.ty() {
                ExternType::Memory(ty) if imported.is_none() => {
                    let ty = at_least(&ty, min_pages);
                    imported = Some(ImportedMemory { module: from.into(), name: name.into(), ty });
                }
                ExternType::Func(ty) => {
                    let offered = imports.iter().find(|offer| (offer.module, offer.name) == (from, name));
                    let offered = offered
                        .with_context(|| format!("it imports {from}::{name}, which its world has not"))?;
                    ensure!(
                        is_of(&ty, offered),
                        "its import {from}::{name} is of another type than its world has"
                    );
                    define(&mut linker, offered, ty).map_err(sentence)?;
                }
                _ => bail!("it imports {from}::{name}, which its world has not"),
            }
        }
        Ok(Arc::new(Linked { module, linker, imported, bound: memory, ticks }))
    }
}

/// `ty` with at least `min_pages` from the start, within its maximum.
fn at_least(ty: &MemoryType, min_pages: u32) -> MemoryType {
    let max = ty.maximum().and_then(|max| u32::try_from(max).ok());
    let min = u32::try_from(ty.minimum()).unwrap_or(u32::MAX).max(min_pages);
    MemoryType::new(min.min(max.unwrap_or(u32::MAX)), max)
}

fn is_of<S>(ty: &FuncType, import: &Import<S>) -> bool {
    ty.params().chain(ty.results()).all(|ty| matches!(ty, ValType::I32))
        && (ty.params().len(), ty.results().len()) == (import.parameters, usize::from(import.returns))
}

fn define<S: Send + 'static>(
    linker: &mut Linker<InstanceState<S>>,
    import: &'static Import<S>,
    ty: FuncType,
) -> wasmtime::Result<()> {
    let (module, name) = (import.module, import.name);
    match import.call {
        HostCall::Plain(call) => linker.func_new(module, name, ty, move |mut caller, arguments, results| {
            let memory = memory(caller.data())?;
            let (memory, state) = parts(memory, &mut caller);
            set_result(results, call(memory, state, &numbers(arguments)))
        }),
        HostCall::Within(call) => {
            linker.func_new_async(module, name, ty, move |caller, arguments, results| {
                Box::new(async move {
                    let mut within = Within { memory: memory(caller.data())?, caller };
                    set_result(results, call(&mut within, &numbers(arguments)).await)
                })
            })
        }
    }
    .map(|_| ())
}

fn numbers(values: &[Val]) -> Vec<u32> {
    values.iter().filter_map(Val::i32).map(i32::cast_unsigned).collect()
}

fn set_result(results: &mut [Val], returned: anyhow::Result<u32>) -> wasmtime::Result<()> {
    let number = returned.map_err(|error| Error::msg(format!("{error:#}")))?;
    if let [result] = results {
        *result = Val::I32(number.cast_signed());
    }
    Ok(())
}

/// The guest's memory and the world's state.
fn parts<'a, S: 'static>(
    memory: Memory,
    store: impl Into<StoreContextMut<'a, InstanceState<S>>>,
) -> (&'a mut [u8], &'a mut S) {
    let (bytes, state) = memory.data_and_store_mut(store);
    (bytes, &mut state.world)
}

/// The memory of a complete instance: while its start function runs, its own memory is not known yet.
fn memory<S>(state: &InstanceState<S>) -> wasmtime::Result<Memory> {
    state.memory.ok_or_else(|| Error::msg("the module has no memory"))
}

async fn call<S: Send + 'static>(
    mut store: impl AsContextMut<Data = InstanceState<S>>,
    function: Func,
    arguments: &[u32],
) -> wasmtime::Result<Option<u32>> {
    let arguments: Vec<_> = arguments.iter().map(|number| Val::I32(number.cast_signed())).collect();
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    function.call_async(&mut store, &arguments, &mut results).await?;
    Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
}

impl<S: Send + 'static> Module<S> for Linked<S> {
    fn instantiate(&self, world: S) -> Pending<'_, Result<Box<dyn Instance<S>>, Stopped>> {
        Box::pin(async move {
            let _at_work = self.ticks.as_deref().map(Ticks::at_work);
            let state = InstanceState { world, bound: self.bound.share(), memory: None };
            let mut store = Store::new(self.module.engine(), state);
            limits::bind(&mut store);
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
            match self.instance(&mut store).await {
                Ok((instance, memory)) => {
                    let ticks = self.ticks.clone();
                    Ok(Box::new(Live { store, instance, memory, ticks }) as Box<dyn Instance<S>>)
                }
                Err(error) => Err(not_made(store.data_mut(), &error)),
            }
        })
    }
}

impl<S: Send + 'static> Linked<S> {
    async fn instance(
        &self,
        store: &mut Store<InstanceState<S>>,
    ) -> wasmtime::Result<(wasmtime::Instance, Memory)> {
        let mut linker = Cow::Borrowed(&self.linker);
        if let Some(ImportedMemory { module, name, ty }) = &self.imported {
            let memory = Memory::new_async(&mut *store, ty.clone()).await?;
            linker.to_mut().define(&*store, module, name, memory)?;
            store.data_mut().memory = Some(memory);
        }
        let instance = linker.instantiate_async(&mut *store, &self.module).await?;
        if self.imported.is_none() {
            store.data_mut().memory = instance.get_memory(&mut *store, "memory");
        }
        Ok((instance, memory(store.data())?))
    }
}

/// An instance between calls.
struct Live<S: 'static> {
    store: Store<InstanceState<S>>,
    instance: wasmtime::Instance,
    memory: Memory,
    ticks: Option<Arc<Ticks>>,
}

impl<S: Send + 'static> Instance<S> for Live<S> {
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>> {
        Box::pin(async move {
            let Self { store, instance, ticks, .. } = self;
            let _at_work = ticks.as_deref().map(Ticks::at_work);
            store.set_epoch_deadline(1);
            let Some(function) = instance.get_func(&mut *store, export) else { return Ok(None) };
            call(&mut *store, function, arguments).await.map_err(|error| stopped(store.data_mut(), &error))
        })
    }

    fn exports(&mut self, function: &str) -> bool {
        self.instance.get_func(&mut self.store, function).is_some()
    }

    fn parts(&mut self) -> (&mut [u8], &mut S) {
        parts(self.memory, &mut self.store)
    }
}

/// An instance, seen from a host function that it has called.
struct Within<'a, S: 'static> {
    caller: Caller<'a, InstanceState<S>>,
    memory: Memory,
}

impl<S: Send + 'static> Instance<S> for Within<'_, S> {
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>> {
        Box::pin(async move {
            let Some(Extern::Func(function)) = self.caller.get_export(export) else { return Ok(None) };
            let called = call(&mut self.caller, function, arguments).await;
            called.map_err(|error| stopped(self.caller.data_mut(), &error))
        })
    }

    fn exports(&mut self, function: &str) -> bool {
        matches!(self.caller.get_export(function), Some(Extern::Func(_)))
    }

    fn parts(&mut self) -> (&mut [u8], &mut S) {
        parts(self.memory, &mut self.caller)
    }
}

/// Why there is no instance: no room, unless its start function trapped.
fn not_made<S>(state: &mut InstanceState<S>, error: &Error) -> Stopped {
    if let Some(refusal) = state.bound.refused() {
        return Stopped::NoRoom(format!("cannot make an instance of the guest: {refusal}"));
    }
    if error.is::<PoolConcurrencyLimitError>() || !error.is::<Trap>() {
        return Stopped::NoRoom(format!("cannot make an instance of the guest: {}", story(error)));
    }
    stopped(state, error)
}

fn stopped<S>(state: &mut InstanceState<S>, error: &Error) -> Stopped {
    match state.bound.refused() {
        Some(refusal) => Stopped::OutOfMemory(format!("{refusal}\n{}", story(error))),
        None => Stopped::Trap(story(error)),
    }
}
