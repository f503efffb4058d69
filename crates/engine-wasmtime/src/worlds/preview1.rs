//! Core modules on WASI preview 1: commands and reactors.
//!
//! One gap: `poll_oneoff` for reading on a regular file makes wasmtime-wasi ask for a second thread,
//! which the box refuses. A read without a poll needs none. A world with sockets must own the call.

use anyhow::Context;
use engine::{Equipment, Exit, Loaded, Mapped};
use tokio::runtime::Runtime;
use wasmtime::{Engine, InstancePre, Linker, Module, Store, Val};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use workload::{Entry, Guest};

use crate::ending::{self, sentence};
use crate::limits::{Memory, MemoryBound};
use crate::wasi;
use crate::worlds::takes_parameters;

/// The world's host functions, linked once.
pub struct Preview1 {
    linker: Linker<Host>,
}

/// What the host functions of one guest work on.
struct Host {
    wasi: WasiP1Ctx,
    memory: MemoryBound,
}

/// A module in memory, with the world it is for.
pub struct MappedModule<'a> {
    module: Module,
    world: &'a Preview1,
}

/// A module at its gate.
struct Waiting {
    module: InstancePre<Host>,
    store: Store<Host>,
    runtime: Runtime,
    entry: Entry,
}

impl Preview1 {
    /// Links the world's functions.
    ///
    /// # Errors
    /// When Wasmtime defines one of them twice.
    pub fn link(engine: &Engine) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        p1::add_to_linker_async(&mut linker, |host: &mut Host| &mut host.wasi)?;
        linker.allow_shadowing(true);
        // Wasmtime's own traps on codes from 126 on.
        linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(I32Exit(code).into())
        })?;
        linker.allow_shadowing(false);
        Ok(Self { linker })
    }

    /// A module that was compiled for this world.
    pub fn of(&self, module: Module) -> MappedModule<'_> {
        MappedModule { module, world: self }
    }
}

impl Mapped for MappedModule<'_> {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { module, world: Preview1 { linker } } = *self;
        check_entry(&module, &guest.world.entry)?;
        let memory = Memory::new(equipment.bound);
        memory.admit(Some(&module.resources_required()))?;
        let module = linker.instantiate_pre(&module).map_err(sentence).context("cannot link the module")?;
        let host = Host { wasi: wasi::provide(&guest)?.build_p1(), memory: memory.share() };
        let mut store = Store::new(linker.engine(), host);
        store.limiter(|host| &mut host.memory);
        Ok(Box::new(Waiting { module, store, runtime: ending::event_loop()?, entry: guest.world.entry }))
    }
}

/// The export that a guest begins with.
fn export(entry: &Entry) -> &str {
    match entry {
        Entry::Command => "_start",
        Entry::Function(name) => name,
        // A component's.
        Entry::Handler => "wasi:http/incoming-handler",
    }
}

fn check_entry(module: &Module, entry: &Entry) -> anyhow::Result<()> {
    let name = export(entry);
    let function = module.get_export(name).and_then(|export| export.func().cloned());
    let parameters = function.with_context(|| format!("it exports no function {name:?}"))?.params().len();
    if parameters == 0 { Ok(()) } else { Err(takes_parameters(name, parameters)) }
}

impl Loaded for Waiting {
    fn run(self: Box<Self>) -> Exit {
        let Self { module, mut store, runtime, entry } = *self;
        ending::run(&runtime, async {
            let module = module.instantiate_async(&mut store).await?;
            let reactor = matches!(entry, Entry::Function(_)).then_some("_initialize");
            for name in reactor.into_iter().chain([export(&entry)]) {
                let Some(function) = module.get_func(&mut store, name) else { continue };
                let mut ignored = vec![Val::I32(0); function.ty(&store).results().len()];
                function.call_async(&mut store, &[], &mut ignored).await?;
            }
            Ok(0)
        })
    }
}
