//! WasmEdge's plug-ins: libraries of the node's operator, with functions that guests import.
//!
//! They are native code, and run in the guests' processes, in the box and under the seccomp filter. So none is loaded
//! unless the environment names it; the shim removes that variable unless the runtime's options allow plug-ins.

use std::env;

use anyhow::{Context, ensure};
use wasmedge_sdk::plugin::{Plugin, PluginManager};
use wasmedge_sdk::{AsInstance as _, Instance};
use workload::Preview1;

/// Files, or directories of files, separated by colons.
const PATH: &str = "WASMEDGE_PLUGIN_PATH";

/// The modules of the loaded plug-ins.
pub struct Plugins(Vec<Offer>);

/// A module that guests may import from.
struct Offer {
    plugin: String,
    module: String,
    /// Its name in the imports.
    name: String,
}

impl Plugins {
    /// Loads the plug-ins that the environment names, for this process and all that are forked from it.
    ///
    /// # Errors
    /// Names the path, or the plug-in.
    pub fn load() -> anyhow::Result<Self> {
        let paths = env::var_os(PATH).unwrap_or_default();
        let paths: Vec<_> = env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect();
        for path in &paths {
            let shown = path.display();
            ensure!(path.exists(), "cannot load the plug-ins of {PATH}: there is no {shown}");
            PluginManager::load(Some(path))
                .with_context(|| format!("cannot load the plug-ins in {shown}"))?;
        }
        // Without paths, none: WasmEdge's built-in plug-ins are not offered either.
        let names = if paths.is_empty() { Vec::new() } else { PluginManager::names() };
        let offers = names.iter().map(|name| offers(name)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self(offers.into_iter().flatten().collect()))
    }

    /// The modules that guests may import from.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|offer| offer.name.as_str())
    }

    /// Whether guests may import from `module`.
    pub fn offers(&self, module: &str) -> bool {
        self.names().any(|name| name == module)
    }

    /// The modules that a guest of `world` imports from, by name.
    ///
    /// # Errors
    /// Names the plug-in.
    pub fn needed(&self, world: &Preview1) -> anyhow::Result<Vec<(String, Instance)>> {
        let is_needed = |offer: &&Offer| {
            world.foreign.iter().any(|import| import.starts_with(&format!("{}::", offer.name)))
        };
        let needed = self.0.iter().filter(is_needed);
        needed.map(|offer| Ok((offer.name.clone(), set_up(&find(&offer.plugin)?, &offer.module)?))).collect()
    }
}

fn offers(plugin: &str) -> anyhow::Result<Vec<Offer>> {
    let found = find(plugin)?;
    let offer = |module: String| {
        let name = set_up(&found, &module)?.name().unwrap_or_else(|| module.clone());
        Ok(Offer { plugin: plugin.into(), module, name })
    };
    found.mod_names().into_iter().map(offer).collect()
}

fn find(plugin: &str) -> anyhow::Result<Plugin> {
    PluginManager::find(plugin).with_context(|| format!("cannot find WasmEdge's plug-in {plugin}"))
}

fn set_up(plugin: &Plugin, module: &str) -> anyhow::Result<Instance> {
    let name = plugin.name();
    plugin
        .mod_instance(module)
        .with_context(|| format!("cannot set up {module} of WasmEdge's plug-in {name}"))
}
