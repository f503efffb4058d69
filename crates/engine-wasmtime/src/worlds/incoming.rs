//! Components that answer HTTP requests: `wasi:http/incoming-handler`, or `wasi:http/handler` on WASI 0.3.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use engine::{Compiled, Equipment, Exit, Loaded, Mapped};
use server::{Drained, Server};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use wasmtime::Engine;
use wasmtime::component;
use workload::{Guest, Http, HttpHandler, Wasi};

use crate::ending::sentence;
use crate::http::{Component, Guests, Ticks};
use crate::limits::Memory;
use crate::worlds::component::{check_start, link, linker};
use crate::{code, heaps, polled, preopens, settings};

/// A component in memory, with an engine of its own: only few guests need it.
pub struct Incoming {
    component: component::Component,
    wasi: Wasi,
    settings: Http,
}

/// A server at its gate.
struct Waiting {
    server: Server,
    guests: Guests,
    runtime: Runtime,
    stop: Option<AsyncFd<OwnedFd>>,
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
    Engine::new(&settings::serving(world.concurrent, most, deep)).map_err(sentence)
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
        let threads = threads(settings.cores);
        heaps::for_each_of(threads);
        let ticks = Ticks::start(engine.clone(), memory.clone())?;
        let runtime = runtime(threads)?;
        let stop = stop.map(|stop| watched(&runtime, stop)).transpose()?;
        let folders = preopens::folders(&guest.preopens)?;
        let guests = Guests::new(linked, guest, &settings, folders, memory, ticks);
        let server = Server::new(settings, socket)?;
        Ok(Box::new(Waiting { server, guests, runtime, stop }))
    }
}

/// As many as the container may use cores.
fn threads(cores: Option<NonZeroUsize>) -> NonZeroUsize {
    let all = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cores.map_or(all, |cores| cores.min(all))
}

fn runtime(threads: NonZeroUsize) -> anyhow::Result<Runtime> {
    let alone = threads == NonZeroUsize::MIN;
    let mut builder = if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads.get()).enable_io().enable_time();
    builder.build().context("cannot start the server's threads")
}

fn watched(runtime: &Runtime, stop: OwnedFd) -> anyhow::Result<AsyncFd<OwnedFd>> {
    let _inside = runtime.enter();
    polled::watch(stop).context("cannot watch for the end")
}

impl Loaded for Waiting {
    fn run(self: Box<Self>) -> Exit {
        let Self { server, guests, runtime, stop } = *self;
        let stopped = async {
            match &stop {
                // What cannot be waited for is as good as there: nobody must wait for ever.
                Some(stop) => drop(stop.readable().await),
                None => std::future::pending().await,
            }
        };
        let served = runtime.block_on(server.run(Arc::new(guests), stopped));
        // What still runs is not waited for.
        runtime.shutdown_background();
        match served {
            Ok(Drained::Whole) => Exit::Code(0),
            Ok(Drained::Cut) => Exit::Code(CUT),
            Err(error) => Exit::Trap(format!("{error:#}")),
        }
    }
}

/// As of a program that SIGTERM ended.
const CUT: u8 = 143;
