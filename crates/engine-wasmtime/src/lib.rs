//! Wasmtime as an engine: core modules on WASI preview 1, components on WASI 0.2, and, with the feature `p3`, on
//! WASI 0.3.
//!
//! Owns the configuration that both compiles and runs, the worlds' linkers, and everything a guest reaches through
//! them. Starts no thread, except to compile and to answer requests: [`Wasmtime::new`] runs in a process that is forked
//! for each guest, and a guest that runs once has one thread.
//!
//! Unsafe code: `code`, `heaps` and `polled` only.

mod clock;
#[expect(unsafe_code, reason = "maps compiled bytes as code")]
mod code;
mod component;
mod ending;
mod files;
#[expect(unsafe_code, reason = "calls mallopt")]
mod heaps;
mod http;
mod limits;
mod lookup;
mod outgoing;
mod paths;
#[expect(unsafe_code, reason = "watches a descriptor that it does not own")]
mod polled;
mod preopens;
mod settings;
mod sockets;
mod stdio;
mod ticks;
mod wasi;
mod worlds;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use engine::{Compiled, Engine, Mapped};
use workload::{Guest, Job, World};

use crate::ending::sentence;
use crate::worlds::{Hosted, Incoming, Once, Preview1};

/// Wasmtime with its worlds linked, ready to be forked.
pub struct Wasmtime {
    engine: wasmtime::Engine,
    preview1: Preview1,
    once: Once,
}

impl Wasmtime {
    /// Sets up what all guests share.
    ///
    /// # Errors
    /// When Wasmtime cannot run on this processor.
    pub fn new() -> anyhow::Result<Self> {
        Self::with_stack(settings::MAX_STACK)
    }

    /// For guests with a stack of `stack` bytes.
    fn with_stack(stack: usize) -> anyhow::Result<Self> {
        let engine = wasmtime::Engine::new(&settings::config(stack)).map_err(sentence)?;
        let preview1 = Preview1::link(&engine).map_err(sentence)?;
        let once = Once::link(&engine).map_err(sentence)?;
        Ok(Self { engine, preview1, once })
    }

    /// `self`, or one of its own for a guest with a smaller stack.
    fn for_stack(&self, once: &workload::OnceSettings) -> anyhow::Result<&Self> {
        match smaller_stack(once) {
            // Leaked: a process has one such guest, which lives as long.
            Some(stack) => Self::with_stack(stack).map(|own| &*Box::leak(Box::new(own))),
            None => Ok(self),
        }
    }
}

/// The stack size of `once`, if it is below the default.
fn smaller_stack(once: &workload::OnceSettings) -> Option<usize> {
    once.stack.filter(|stack| *stack < settings::MAX_STACK)
}

/// Adds advice on how to compile the module instead.
fn with_advice(error: anyhow::Error) -> anyhow::Error {
    const OLD: &str = "legacy_exceptions feature required";
    if !error.to_string().contains(OLD) {
        return error;
    }
    error.context(
        "it throws by instructions that WebAssembly has given up; compile it with -mllvm -wasm-use-legacy-eh=false, or \
         with -sWASM_LEGACY_EXCEPTIONS=0 by Emscripten",
    )
}

impl Engine for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn fingerprint(&self) -> String {
        let mut hash = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hash);
        settings::VERSION.hash(&mut hash);
        cfg!(feature = "p3").hash(&mut hash);
        format!("{:016x}", hash.finish())
    }

    fn lacks(&self, world: &World) -> Option<String> {
        const P3: &str =
            "takes a build with the feature p3 to run components of WASI 0.3 or with asynchronous calls";
        let is_concurrent = match world {
            World::Preview1(module) => return module.unmet(|_| false).map(|all| format!("offers no {all}")),
            World::Command(component) => component.concurrent,
            World::HttpHandler(component) => component.concurrent,
            World::Hosted(_) => false,
        };
        (is_concurrent && !cfg!(feature = "p3")).then(|| P3.into())
    }

    fn compile(&self, wasm: &[u8], world: &World) -> anyhow::Result<Vec<u8>> {
        let compiled = match world {
            World::Preview1(_) => self.engine.precompile_module(wasm),
            World::Command(component) if component.concurrent => {
                wasmtime::Engine::new(&settings::concurrent(settings::MAX_STACK))
                    .and_then(|engine| engine.precompile_component(wasm))
            }
            World::Command(_) => self.engine.precompile_component(wasm),
            World::HttpHandler(handler) => return Incoming::compile(wasm, handler),
            World::Hosted(_) => return Hosted::compile(wasm),
        };
        compiled.map_err(sentence).map_err(with_advice)
    }

    fn map(&self, code: Compiled, guest: &Guest) -> anyhow::Result<Box<dyn Mapped + '_>> {
        Ok(match &guest.job {
            Job::Preview1(world, once) => {
                let own = self.for_stack(once)?;
                Box::new(own.preview1.of(code::module(&own.engine, code)?, world, once))
            }
            Job::Command(world, once) if world.concurrent => {
                let engine = settings::concurrent(smaller_stack(once).unwrap_or(settings::MAX_STACK));
                let engine = wasmtime::Engine::new(&engine).map_err(sentence)?;
                Box::new(Once::of_its_own(code::component(&engine, code)?, world)?)
            }
            Job::Command(world, once) => {
                let own = self.for_stack(once)?;
                Box::new(own.once.of(code::component(&own.engine, code)?, world))
            }
            Job::HttpHandler(world, http) => Box::new(Incoming::map(code, world, http)?),
            Job::Hosted(job) => Box::new(Hosted::map(code, job)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workload::{Preview1, Start};

    #[test]
    fn legacy_exceptions_are_refused_with_advice() {
        // `_start` is (try (do) (catch_all)), which the text format no longer has.
        let wasm = [
            b"\0asm\x01\0\0\0".as_slice(),
            b"\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0",
            b"\x0a\x08\x01\x06\0\x06\x40\x19\x0b\x0b",
        ];
        let (start, foreign) = (Start::Command, Vec::new());
        let world = World::Preview1(Preview1 { start, sockets: false, polls: false, foreign });
        let error = Wasmtime::new().unwrap().compile(&wasm.concat(), &world).unwrap_err();
        assert!(format!("{error:#}").contains("-wasm-use-legacy-eh=false"), "{error:#}");
    }
}
