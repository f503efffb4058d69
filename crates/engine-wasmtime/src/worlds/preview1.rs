//! Core modules on WASI preview 1: commands and reactors, with WasmEdge's sockets if they import them or have listening
//! sockets.

use anyhow::Context;
use engine::{Equipment, Exit, Loaded, Mapped};
use network::Egress;
use rustix::io::ioctl_fionbio;
use tokio::runtime::Runtime;
use wasmtime::{Engine, InstancePre, Linker, Module, Store, Val};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use workload::{Guest, OnceSettings, Start};

use crate::ending::{self, sentence};
use crate::limits::{self, Bounded, Memory, MemoryBound};
use crate::sockets::{self, Network, SocketHost};
use crate::worlds::takes_parameters;
use crate::{paths, wasi};

/// A linker with the host functions of preview 1.
pub struct Preview1 {
    linker: Linker<Preview1State>,
}

/// The state of a guest's host functions.
struct Preview1State {
    wasi: WasiP1Ctx,
    network: Network,
    memory: MemoryBound,
}

impl SocketHost for Preview1State {
    fn parts(&mut self) -> (&mut WasiP1Ctx, &mut Network) {
        (&mut self.wasi, &mut self.network)
    }
}

impl Bounded for Preview1State {
    fn memory(&mut self) -> &mut MemoryBound {
        &mut self.memory
    }
}

/// A mapped module, with its world.
pub struct MappedModule<'a> {
    module: Module,
    linker: &'a Linker<Preview1State>,
    world: workload::Preview1,
    once: OnceSettings,
}

/// A module that is ready to run.
struct LoadedModule {
    module: InstancePre<Preview1State>,
    store: Store<Preview1State>,
    runtime: Runtime,
    start: Start,
}

impl Preview1 {
    /// Links the world's functions.
    ///
    /// # Errors
    /// When Wasmtime defines one of them twice.
    pub fn link(engine: &Engine) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        p1::add_to_linker_async(&mut linker, |host: &mut Preview1State| &mut host.wasi)?;
        linker.allow_shadowing(true);
        // Wasmtime's own traps on exit codes of 126 and above.
        linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(I32Exit(code).into())
        })?;
        // Wasmtime's own polls files on a second thread.
        sockets::link_poll(&mut linker)?;
        linker.allow_shadowing(false);
        paths::link_preview1(&mut linker)?;
        Ok(Self { linker })
    }

    /// A module for this world.
    pub fn of(&self, module: Module, world: &workload::Preview1, once: &OnceSettings) -> MappedModule<'_> {
        MappedModule { module, linker: &self.linker, world: world.clone(), once: once.clone() }
    }
}

impl Mapped for MappedModule<'_> {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { module, linker, world: workload::Preview1 { start, sockets, .. }, once } = *self;
        check_start(&module, &start)?;
        let memory = Memory::new(equipment.bound);
        memory.admit(Some(&module.resources_required()))?;
        let needs_sockets = sockets || !once.listens.is_empty();
        let module = instantiate_pre(linker, &module, needs_sockets)
            .map_err(sentence)
            .context("cannot link the module")?;
        let egress = Egress::of(&guest);
        let wasi = wasi::provide(&guest, once.listens.len(), &egress)?.build_p1();
        if once.accepts_nonblocking {
            let mut all = equipment.sockets.iter();
            all.try_for_each(|socket| ioctl_fionbio(socket, true)).context("cannot set up a socket")?;
        }
        let network = Network::new(egress, equipment.sockets);
        let host = Preview1State { wasi, network, memory: memory.share() };
        let mut store = Store::new(linker.engine(), host);
        limits::bind(&mut store);
        Ok(Box::new(LoadedModule { module, store, runtime: ending::event_loop()?, start }))
    }
}

fn instantiate_pre(
    linker: &Linker<Preview1State>,
    module: &Module,
    needs_sockets: bool,
) -> wasmtime::Result<InstancePre<Preview1State>> {
    if !needs_sockets {
        return linker.instantiate_pre(module);
    }
    let mut linker = linker.clone();
    sockets::link(&mut linker, module)?;
    linker.instantiate_pre(module)
}

/// The name of the entrypoint.
fn export(start: &Start) -> &str {
    match start {
        Start::Command => "_start",
        Start::Function(name) => name,
    }
}

fn check_start(module: &Module, start: &Start) -> anyhow::Result<()> {
    let name = export(start);
    let function = module.get_export(name).and_then(|export| export.func().cloned());
    let parameters = function.with_context(|| format!("it exports no function {name:?}"))?.params().len();
    if parameters == 0 { Ok(()) } else { Err(takes_parameters(name, parameters)) }
}

impl Loaded for LoadedModule {
    fn run(self: Box<Self>) -> Exit {
        let Self { module, store, runtime, start } = *self;
        ending::run(&runtime, store, async |store| {
            let module = module.instantiate_async(&mut *store).await?;
            let reactor = matches!(start, Start::Function(_)).then_some("_initialize");
            for name in reactor.into_iter().chain([export(&start)]) {
                let Some(function) = module.get_func(&mut *store, name) else { continue };
                let mut ignored = vec![Val::I32(0); function.ty(&*store).results().len()];
                function.call_async(&mut *store, &[], &mut ignored).await?;
            }
            Ok(0)
        })
    }
}
