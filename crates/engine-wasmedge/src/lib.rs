//! WasmEdge as an engine: core modules on WASI preview 1, with the sockets that WasmEdge itself has.
//!
//! Code is a shared library that WasmEdge's own compiler made, opened before the box is built, so that the
//! pages of a module are shared by all who run it. WasmEdge's WASI does what the guest asks; what it does not do as a
//! guest here is promised (it asks libc for names, and judges no connection) is replaced or refused. Never
//! starts a thread, except to compile.
//!
//! The crate is empty without the feature `wasmedge`: it needs libwasmedge, a dynamic library.
//!
//! Unsafe code: `faults`, `host`, `hosted` and its `within`, and `journal` only.
#![cfg(feature = "wasmedge")]

mod compile;
#[expect(unsafe_code, reason = "a signal handler is put around WasmEdge's own")]
mod faults;
#[expect(unsafe_code, reason = "functions of a library in C are replaced, and lent the guest's memory")]
mod host;
#[expect(unsafe_code, reason = "WasmEdge calls the host, which calls it, by pointers")]
mod hosted;
#[expect(unsafe_code, reason = "WasmEdge's log is read by a callback in C")]
mod journal;
mod module;
mod paths;
mod plugins;
mod preopens;
mod settings;

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context, bail};
use engine::{Compiled, Engine, Mapped};
use wasmedge_sdk::utils::CoreVersion;
use workload::{Guest, Job, World};

use crate::hosted::MappedHosted;
use crate::module::MappedModule;
use crate::plugins::Plugins;

/// Why it runs no component.
const COMPONENTS: &str = "runs core modules only";

/// WasmEdge, ready to be forked.
pub struct WasmEdge {
    fingerprint: String,
    plugins: Plugins,
}

impl WasmEdge {
    /// Sets up what every guest shares.
    ///
    /// # Errors
    /// When the processor cannot be told, or a plug-in not be loaded.
    pub fn new() -> anyhow::Result<Self> {
        journal::open();
        let mut hash = DefaultHasher::new();
        CoreVersion::version_string().hash(&mut hash);
        settings::VERSION.hash(&mut hash);
        processor()?.hash(&mut hash);
        // What is refused without them is not refused with them, and a refusal is remembered.
        let plugins = Plugins::load()?;
        plugins.names().for_each(|name| name.hash(&mut hash));
        Ok(Self { fingerprint: format!("{:016x}", hash.finish()), plugins })
    }
}

/// What the processor is and can do: code is compiled for it and no other.
fn processor() -> anyhow::Result<Vec<String>> {
    const SAYS: [&str; 5] = ["model name", "flags", "Features", "CPU implementer", "CPU part"];
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot tell the processor from /proc/cpuinfo")?;
    let first = text.split("\n\n").next().unwrap_or_default();
    Ok(first.lines().filter(|line| SAYS.iter().any(|word| line.starts_with(word))).map(Into::into).collect())
}

impl Engine for WasmEdge {
    fn name(&self) -> &'static str {
        "wasmedge"
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn lacks(&self, world: &World) -> Option<String> {
        match world {
            World::Preview1(module) => {
                let unmet = module.unmet(|module| self.plugins.offers(module));
                unmet.map(|all| format!("offers no {all}"))
            }
            World::Hosted(_) => None,
            World::Command(_) | World::HttpHandler(_) => Some(COMPONENTS.into()),
        }
    }

    fn compile(&self, wasm: &[u8], _world: &World) -> anyhow::Result<Vec<u8>> {
        compile::compile(wasm)
    }

    fn map(&self, code: Compiled, guest: &Guest) -> anyhow::Result<Box<dyn Mapped + '_>> {
        match &guest.job {
            Job::Preview1(world, once) => Ok(Box::new(MappedModule::open(code, world, once, &self.plugins)?)),
            Job::Hosted(job) => Ok(Box::new(MappedHosted::open(code, job)?)),
            Job::Command(..) | Job::HttpHandler(..) => bail!("WasmEdge {COMPONENTS}"),
        }
    }
}
