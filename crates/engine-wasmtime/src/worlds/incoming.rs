//! Components that handle HTTP requests: `wasi:http/incoming-handler`, or `wasi:http/handler` on WASI 0.3.

use anyhow::Context;
use engine::{Compiled, Equipment, Exit, Loaded, Mapped};
use server::Process;
use wasmtime::Engine;
use wasmtime::component;
use workload::{Guest, Http, HttpHandler, Wasi};

use crate::component::{check_start, link, linker};
use crate::ending::sentence;
use crate::http::{Component, HttpGuest};
use crate::limits::Memory;
use crate::settings::Calls;
use crate::ticks::Ticks;
use crate::{code, heaps, preopens, settings};

/// A mapped component, with an engine of its own: only few guests need it.
pub struct Incoming {
    component: component::Component,
    wasi: Wasi,
    settings: Http,
}

/// A server that is ready to run, and its guest.
struct LoadedServer {
    process: Process,
    guest: HttpGuest,
}

impl Incoming {
    /// Compiles a component with the configuration that will run it.
    ///
    /// # Errors
    /// A sentence that names what is not valid.
    pub fn compile(wasm: &[u8], world: &HttpHandler) -> anyhow::Result<Vec<u8>> {
        engine(world, 1, settings::MAX_STACK)?.precompile_component(wasm).map_err(sentence)
    }

    /// Maps the code of a guest that is served by `settings`.
    ///
    /// # Errors
    /// When the code was compiled for another configuration, or the address space is too small for the instances.
    pub fn map(code: Compiled, world: &HttpHandler, settings: &Http) -> anyhow::Result<Self> {
        let engine = engine(world, settings.concurrency, settings.stack)?;
        let component = code::component(&engine, code)?;
        Ok(Self { component, wasi: world.wasi, settings: settings.clone() })
    }
}

fn engine(world: &HttpHandler, max: usize, stack: usize) -> anyhow::Result<Engine> {
    let calls = if world.concurrent { Calls::Concurrent } else { Calls::One };
    Engine::new(&settings::serving(calls, max, stack)).map_err(sentence)
}

impl Mapped for Incoming {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { component, wasi, settings } = *self;
        let Equipment { bound, mut sockets, stop } = equipment;
        let socket = sockets.pop().context("no socket came with it")?;
        let memory = Memory::new(bound);
        memory.admit(component.resources_required().as_ref())?;
        let wanted = "func(incoming-request, response-outparam)";
        check_start(&component, "wasi:http/incoming-handler@", "handle", wanted, |handle| {
            handle.params().len() == 2 && handle.results().len() == 0
        })?;
        let engine = component.engine();
        let linked = Component::of(link(&linker(engine, wasi).map_err(sentence)?, &component)?, wasi)?;
        heaps::for_each_of(server::threads(&settings));
        let ticks = Ticks::start(engine.clone(), memory.clone())?;
        let preopens = preopens::open_shared(&guest.preopens)?;
        let guest = HttpGuest::new(linked, guest, &settings, preopens, memory, ticks);
        let process = Process::new(settings, socket, stop)?;
        Ok(Box::new(LoadedServer { process, guest }))
    }
}

impl Loaded for LoadedServer {
    fn run(self: Box<Self>) -> Exit {
        let Self { process, guest } = *self;
        process.run(guest).map_or_else(|error| Exit::Trap(format!("{error:#}")), Exit::Code)
    }
}
