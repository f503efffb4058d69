//! Wasmtime as an engine: core modules on WASI preview 1, components on WASI 0.2, and with the feature `p3` those
//! that answer requests on WASI 0.3.
//!
//! Owns the one configuration that compiles and runs, the worlds' linkers, and everything a guest
//! reaches through them. Never starts a thread, except to compile and to answer requests: [`Wasmtime::new`]
//! runs in a process that is forked for each guest, and the process of one that runs once has one thread.
//!
//! Unsafe code: `code`, `heaps` and `polled` only.

mod clock;
#[expect(unsafe_code, reason = "bytes that the engine vouches for become code")]
mod code;
mod ending;
mod files;
#[expect(unsafe_code, reason = "malloc is told something by mallopt")]
mod heaps;
mod http;
mod limits;
mod lookup;
mod paths;
#[expect(unsafe_code, reason = "a descriptor is watched that nobody owns")]
mod polled;
mod preopens;
mod settings;
mod sockets;
mod stdio;
mod wasi;
mod worlds;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use engine::{Compiled, Engine, Mapped};
use workload::{Abi, Guest, World};

use crate::ending::sentence;
use crate::worlds::{Incoming, Once, Preview1};

/// Wasmtime with its worlds linked, ready to be forked.
pub struct Wasmtime {
    engine: wasmtime::Engine,
    preview1: Preview1,
    once: Once,
}

impl Wasmtime {
    /// Sets up what every guest shares.
    ///
    /// # Errors
    /// When Wasmtime cannot run on this processor.
    pub fn new() -> anyhow::Result<Self> {
        Self::of(settings::DEEPEST)
    }

    /// The same for guests that may go `deep` bytes deep.
    fn of(deep: usize) -> anyhow::Result<Self> {
        let engine = wasmtime::Engine::new(&settings::config(deep)).map_err(sentence)?;
        let preview1 = Preview1::link(&engine).map_err(sentence)?;
        let once = Once::link(&engine).map_err(sentence)?;
        Ok(Self { engine, preview1, once })
    }
}

/// What compilers are to be told, beside what is wrong.
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
        match world.abi {
            _ if !world.foreign.is_empty() => world.unmet(|_| false).map(|all| format!("offers no {all}")),
            _ if world.concurrent && !cfg!(feature = "p3") => Some(
                "takes a build with the feature p3 to run components of WASI 0.3 or with asynchronous calls"
                    .into(),
            ),
            Abi::Preview1 | Abi::Sockets | Abi::Wasi02 | Abi::Wasi03 => None,
        }
    }

    fn compile(&self, wasm: &[u8], world: &World) -> anyhow::Result<Vec<u8>> {
        let compiled = match world.abi {
            Abi::Preview1 | Abi::Sockets => self.engine.precompile_module(wasm),
            _ if world.serves() => return Incoming::compile(wasm, world),
            _ if world.concurrent => wasmtime::Engine::new(&settings::concurrent(settings::DEEPEST))
                .and_then(|engine| engine.precompile_component(wasm)),
            Abi::Wasi02 | Abi::Wasi03 => self.engine.precompile_component(wasm),
        };
        compiled.map_err(sentence).map_err(with_advice)
    }

    fn map(&self, code: Compiled, guest: &Guest) -> anyhow::Result<Box<dyn Mapped + '_>> {
        let bounded = guest.stack.filter(|stack| *stack < settings::DEEPEST);
        let own = || match bounded {
            // There is one such guest in a process, and it lives as long.
            Some(stack) => Self::of(stack).map(|own| &*Box::leak(Box::new(own))),
            None => Ok(self),
        };
        Ok(match guest.world.abi {
            _ if guest.world.serves() => Box::new(Incoming::map(code, guest)?),
            Abi::Preview1 | Abi::Sockets => {
                let own = own()?;
                Box::new(own.preview1.of(code::module(&own.engine, code)?))
            }
            abi if guest.world.concurrent => {
                let engine = settings::concurrent(bounded.unwrap_or(settings::DEEPEST));
                let engine = wasmtime::Engine::new(&engine).map_err(sentence)?;
                Box::new(Once::of_its_own(code::component(&engine, code)?, abi)?)
            }
            Abi::Wasi02 | Abi::Wasi03 => {
                let own = own()?;
                Box::new(own.once.of(code::component(&own.engine, code)?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workload::Entry;

    #[test]
    fn older_exceptions_are_told_how_to_be_newer() {
        // `_start` is (try (do) (catch_all)), which no text says any more.
        let wasm = [
            b"\0asm\x01\0\0\0".as_slice(),
            b"\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0",
            b"\x0a\x08\x01\x06\0\x06\x40\x19\x0b\x0b",
        ];
        let world = World::plain(Abi::Preview1, Entry::Command);
        let error = Wasmtime::new().unwrap().compile(&wasm.concat(), &world).unwrap_err();
        assert!(format!("{error:#}").contains("-wasm-use-legacy-eh=false"), "{error:#}");
    }
}
