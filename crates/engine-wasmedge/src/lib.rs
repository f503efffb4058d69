//! WasmEdge as an engine: core modules on WASI preview 1, with WasmEdge's sockets.
//!
//! Code is a shared library from WasmEdge's compiler, opened before the container's box is built, so that all guests
//! that run a module share its pages. Calls go to WasmEdge's WASI; functions that do less than guests are promised, or
//! more than they may (it looks up names through libc, and checks no connection), are replaced or refused. Starts no
//! thread, except to compile, and while a host function of `hosted` waits.
//!
//! The crate is empty without the feature `wasmedge`: it needs libwasmedge, a dynamic library.
//!
//! Unsafe code: `faults`, `host`, `hosted` and its `within`, and `journal` only.
#![cfg(feature = "wasmedge")]

mod compile;
#[expect(unsafe_code, reason = "wraps WasmEdge's signal handler")]
mod faults;
#[expect(unsafe_code, reason = "replaces functions of a C library, and lends them the guest's memory")]
mod host;
#[expect(unsafe_code, reason = "WasmEdge and the host call each other through pointers")]
mod hosted;
#[expect(unsafe_code, reason = "reads WasmEdge's log by a C callback")]
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

/// Why it cannot run components.
const COMPONENTS: &str = "runs core modules only";

/// WasmEdge, ready to be forked.
pub struct WasmEdge {
    fingerprint: String,
    plugins: Plugins,
}

impl WasmEdge {
    /// Sets up what all guests share.
    ///
    /// # Errors
    /// When the processor cannot be detected, or a plug-in cannot be loaded.
    pub fn new() -> anyhow::Result<Self> {
        journal::open();
        let mut hash = DefaultHasher::new();
        CoreVersion::version_string().hash(&mut hash);
        settings::VERSION.hash(&mut hash);
        processor()?.hash(&mut hash);
        // Plug-ins decide which modules are refused, and refusals are cached.
        let plugins = Plugins::load()?;
        plugins.names().for_each(|name| name.hash(&mut hash));
        Ok(Self { fingerprint: format!("{:016x}", hash.finish()), plugins })
    }
}

/// The processor's model and features: code is compiled for exactly these.
fn processor() -> anyhow::Result<Vec<String>> {
    const FIELDS: [&str; 5] = ["model name", "flags", "Features", "CPU implementer", "CPU part"];
    let text =
        fs::read_to_string("/proc/cpuinfo").context("cannot detect the processor from /proc/cpuinfo")?;
    let first = text.split("\n\n").next().unwrap_or_default();
    Ok(first
        .lines()
        .filter(|line| FIELDS.iter().any(|field| line.starts_with(field)))
        .map(Into::into)
        .collect())
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
