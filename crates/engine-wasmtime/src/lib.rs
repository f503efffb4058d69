//! Wasmtime as an engine: core modules on WASI preview 1, components on WASI 0.2.
//!
//! Owns the one configuration that compiles and runs, the worlds' linkers, and everything a guest
//! reaches through them. Never starts a thread, except to compile: [`Wasmtime::new`] runs in a
//! process that is forked for each guest, and a guest's process has one thread.
//!
//! Unsafe code: `code` and `polled` only.

#[expect(unsafe_code, reason = "bytes that the engine vouches for become code")]
mod code;
mod ending;
mod files;
mod limits;
#[expect(unsafe_code, reason = "a descriptor is watched that nobody owns")]
mod polled;
mod preopens;
mod settings;
mod stdio;
mod wasi;
mod worlds;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use engine::{Compiled, Engine, Mapped};
use workload::{Abi, World};

use crate::ending::sentence;
use crate::worlds::{Preview1, Wasi02};

/// Wasmtime with its worlds linked, ready to be forked.
pub struct Wasmtime {
    engine: wasmtime::Engine,
    preview1: Preview1,
    wasi02: Wasi02,
}

impl Wasmtime {
    /// Sets up what every guest shares.
    ///
    /// # Errors
    /// When Wasmtime cannot run on this processor.
    pub fn new() -> anyhow::Result<Self> {
        let engine = wasmtime::Engine::new(&settings::config()).map_err(sentence)?;
        let preview1 = Preview1::link(&engine).map_err(sentence)?;
        let wasi02 = Wasi02::link(&engine).map_err(sentence)?;
        Ok(Self { engine, preview1, wasi02 })
    }
}

impl Engine for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn fingerprint(&self) -> String {
        let mut hash = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hash);
        format!("{:016x}", hash.finish())
    }

    fn supports(&self, world: &World) -> bool {
        match world.abi {
            Abi::Preview1 | Abi::Wasi02 => true,
        }
    }

    fn compile(&self, wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
        let compiled = if is_component(wasm) {
            self.engine.precompile_component(wasm)
        } else {
            self.engine.precompile_module(wasm)
        };
        compiled.map_err(sentence)
    }

    fn map(&self, code: Compiled, world: &World) -> anyhow::Result<Box<dyn Mapped + '_>> {
        Ok(match world.abi {
            Abi::Preview1 => Box::new(self.preview1.of(code::module(&self.engine, code)?)),
            Abi::Wasi02 => Box::new(self.wasi02.of(code::component(&self.engine, code)?)),
        })
    }
}

/// The binary's header says so: layer 1 after the magic number and the version.
fn is_component(wasm: &[u8]) -> bool {
    wasm.get(6..8) == Some(&[1, 0])
}
