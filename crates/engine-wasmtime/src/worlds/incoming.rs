//! Components that answer HTTP requests: `wasi:http/incoming-handler`, or `wasi:http/handler` on WASI 0.3.

use anyhow::Context;
use engine::{Compiled, Equipment, Exit, Loaded, Mapped};
use server::Process;
use wasmtime::Engine;
use wasmtime::component;
use workload::{Guest, Http, HttpHandler, Wasi};

use crate::component::{check_start, link, linker};
use crate::ending::sentence;
use crate::http::{Component, Guests};
use crate::limits::Memory;
use crate::settings::Calls;
use crate::ticks::Ticks;
use crate::{code, heaps, preopens, settings};

/// A component in memory, with an engine of its own: only few guests need it.
pub struct Incoming {
    component: component::Component,
    wasi: Wasi,
    settings: Http,
}

/// A server at its gate.
struct Waiting {
    process: Process,
    guests: Guests,
}

impl Incoming {
    /// Compiles a component as it will be run.
    ///
    /// # Errors
    /// A sentence that tells what of it is not valid.
    pub fn compile(wasm: &[u8], world: &HttpHandler) -> anyhow::Result<Vec<u8>> {
        engine(world, 1, settings::DEEPEST)?.precompile_component(wasm).map_err(sentence)
    }

    /// Makes the code of a guest executable that is served by `settings`.
    ///
    /// # Errors
    /// When the code is another configuration's, or there are too few addresses for the copies.
    pub fn map(code: Compiled, world: &HttpHandler, settings: &Http) -> anyhow::Result<Self> {
        let engine = engine(world, settings.concurrency, settings.stack)?;
        let component = code::component(&engine, code)?;
        Ok(Self { component, wasi: world.wasi, settings: settings.clone() })
    }
}

fn engine(world: &HttpHandler, most: usize, deep: usize) -> anyhow::Result<Engine> {
    let calls = if world.concurrent { Calls::Concurrent } else { Calls::One };
    Engine::new(&settings::serving(calls, most, deep)).map_err(sentence)
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
        let folders = preopens::folders(&guest.preopens)?;
        let guests = Guests::new(linked, guest, &settings, folders, memory, ticks);
        let process = Process::new(settings, socket, stop)?;
        Ok(Box::new(Waiting { process, guests }))
    }
}

impl Loaded for Waiting {
    fn run(self: Box<Self>) -> Exit {
        let Self { process, guests } = *self;
        process.run(guests).map_or_else(|error| Exit::Trap(format!("{error:#}")), Exit::Code)
    }
}
