//! Modules of preview 1: mapped, linked and run.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use engine::{Compiled, Equipment, Exit, Loaded, Mapped, too_large};
use network::Egress;
use wasmedge_sdk::config::Config;
use wasmedge_sdk::error::WasmEdgeError;
use wasmedge_sdk::vm::SyncInst;
use wasmedge_sdk::wasi::WasiModule;
use wasmedge_sdk::{AsInstance, ExternalInstanceType, Instance, Module, Store, Vm, WasmEdgeResult};
use wasmedge_sys::instance::function::AsFunc as _;
use workload::{Guest, OnceSettings, Preview1, Start};

use crate::host::HostState;
use crate::plugins::Plugins;
use crate::preopens::Preopen;
use crate::{faults, host, journal, preopens, settings};

/// The import module of WASI preview 1 and of WasmEdge's sockets.
const WASI: &str = "wasi_snapshot_preview1";

/// How often to let WasmEdge number a guest's directories: one try is enough, or a few after memory was freed.
const TRIES: usize = 64;

/// What WasmEdge logs when it has no address space for a memory; it continues without it, and traps.
const NO_ADDRESSES: &str = "usable memory address";

/// What WasmEdge logs when it refuses a growth.
const NO_MEMORY: &str = "exceeded limited";

/// A mapped module.
pub struct MappedModule<'a> {
    code: Code,
    world: Preview1,
    plugins: &'a Plugins,
}

struct Code {
    module: Module,
    /// The file that it is mapped from.
    _file: File,
}

/// A module that is ready to run.
struct LoadedModule {
    code: Code,
    wasi: WasiModule,
    /// Modules of plug-ins, by the names that are imported.
    plugins: Vec<(String, Instance)>,
    host: &'static HostState,
    config: Config,
    start: Start,
}

impl<'a> MappedModule<'a> {
    /// Maps compiled code. WasmEdge opens it only by a path, so /proc must be mounted.
    ///
    /// # Errors
    /// When the code cannot be used; when the guest needs what WasmEdge lacks.
    pub fn open(
        code: Compiled,
        world: &Preview1,
        once: &OnceSettings,
        plugins: &'a Plugins,
    ) -> anyhow::Result<Self> {
        ensure!(once.listens.is_empty(), "WasmEdge cannot hand a guest sockets that listen already");
        let file = code.into_file();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        ensure!(Path::new(&path).exists(), "cannot map the compiled code: /proc is out of sight");
        journal::clear();
        // Mapping ignores the bound.
        let config = settings::running(u64::MAX)?;
        let module = Module::from_file(Some(&config), path)
            .map_err(|error| anyhow!("cannot map the compiled code: {}", journal::explained(&error)))?;
        Ok(Self { code: Code { module, _file: file }, world: world.clone(), plugins })
    }
}

impl Mapped for MappedModule<'_> {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { code, world, plugins } = *self;
        let bound = equipment.bound.max();
        check_memory(&code.module, bound)?;
        let preopens = preopens::directories(&guest.preopens)?;
        let mut wasi = wasi(&guest, &preopens)?;
        let names = preopens.into_iter().map(|preopen| preopen.name).collect();
        let host = host::replace(&mut wasi, Egress::of(&guest), names)?;
        let plugins = plugins.needed(&world)?;
        check_imports(&code.module, &wasi, &plugins).context("cannot link the module")?;
        let config = settings::running(bound)?;
        Ok(Box::new(LoadedModule { code, wasi, plugins, host, config, start: world.start }))
    }
}

/// WasmEdge's WASI with the guest's arguments, environment and directories; standard streams are the process's.
fn wasi(guest: &Guest, preopens: &[Preopen]) -> anyhow::Result<WasiModule> {
    let env: Vec<_> = guest.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let preopens: Vec<_> = preopens.iter().map(|preopen| preopen.mapping.clone()).collect();
    let ends_early = |text: &String| text.contains('\0');
    ensure!(
        !guest.args.iter().chain(&env).any(ends_early),
        "an argument or a variable has a zero byte in it, where it would end for the guest"
    );
    fn all(texts: &[String]) -> Option<Vec<&str>> {
        Some(texts.iter().map(String::as_str).collect())
    }
    // Kept, so that the next one gets other addresses.
    let mut out_of_order = Vec::new();
    for _ in 0..TRIES {
        let wasi = WasiModule::create(all(&guest.args), all(&env), all(&preopens));
        let wasi = wasi.context("cannot set up WasmEdge's WASI")?;
        if host::is_in_order(&wasi, preopens.len()) {
            return Ok(wasi);
        }
        out_of_order.push(wasi);
    }
    bail!("WasmEdge does not number the guest's directories in their order, tried {TRIES} times")
}

/// Refuses a memory that is initially larger than the bound.
fn check_memory(module: &Module, bound: u64) -> anyhow::Result<()> {
    for export in module.exports() {
        if let Ok(ExternalInstanceType::Memory(memory)) = export.ty() {
            let needed = u64::from(memory.minimum()) << 16;
            ensure!(memory.minimum() <= settings::pages(bound), too_large(needed, 0, bound));
        }
    }
    Ok(())
}

/// Checks that each import has a function of its type, under its name or, as WasmEdge links it, as `NAME_v2`.
fn check_imports(module: &Module, wasi: &WasiModule, plugins: &[(String, Instance)]) -> anyhow::Result<()> {
    for import in module.imports() {
        let (from, name) = (import.module_name(), import.name());
        let ExternalInstanceType::Func(wanted) = import.ty()? else {
            bail!("{from}::{name} is no function");
        };
        let has = |instance: &Instance, name: &str| {
            let offered = instance.get_func(name).ok().and_then(|function| function.ty());
            offered.is_some_and(|offered| offered == wanted)
        };
        let has = match plugins.iter().find(|(plugin, _)| *plugin == from) {
            Some((_, plugin)) => has(plugin, &name),
            None => from == WASI && (has(wasi.as_ref(), &name) || has(wasi.as_ref(), &format!("{name}_v2"))),
        };
        ensure!(has, "WasmEdge has no {from}::{name} of that type");
    }
    Ok(())
}

impl Loaded for LoadedModule {
    fn run(self: Box<Self>) -> Exit {
        let Self { code, mut wasi, mut plugins, host, config, start } = *self;
        journal::clear();
        let mut imports: HashMap<String, &mut dyn SyncInst> = HashMap::new();
        imports.insert(WASI.to_owned(), wasi.as_mut());
        imports.extend(plugins.iter_mut().map(|(name, plugin)| (name.clone(), plugin as &mut dyn SyncInst)));
        let ended = begin(&code.module, imports, host, &config, &start);
        match (host.exited(), ended) {
            // The low eight bits, as in the kernel.
            (Some(code), _) => Exit::Code(code.to_le_bytes()[0]),
            (None, Ok(())) => Exit::Code(0),
            (None, Err(error)) if journal::explained(&error).contains(NO_MEMORY) => {
                let pages = u64::from(config.max_memory_pages());
                let leaves = format!(
                    "the container's limit leaves its guest {} bytes of memory, which was not enough",
                    pages << 16
                );
                Exit::OutOfMemory(format!("{leaves}\n{}", story(&error)))
            }
            (None, Err(error)) => Exit::Trap(story(&error)),
        }
    }
}

/// Instantiates the module, which runs its start function, and calls the entrypoint.
fn begin(
    module: &Module,
    imports: HashMap<String, &mut dyn SyncInst>,
    host: &HostState,
    config: &Config,
    start: &Start,
) -> WasmEdgeResult<()> {
    let mut vm = Vm::new(Store::new(Some(config), imports)?);
    vm.register_module(None, module.clone())?;
    let (reactor, name) = match start {
        Start::Function(name) => (Some("_initialize"), name.as_str()),
        Start::Command => (None, "_start"),
    };
    let has = |name: &&str| module.get_export(name).is_some();
    for name in reactor.filter(has).into_iter().chain([name]) {
        // After proc_exit, WasmEdge returns without an error.
        if host.exited().is_none() {
            vm.run_func(None, name, [])?;
        }
    }
    Ok(())
}

/// The reason of a trap, for people.
pub fn story(error: &WasmEdgeError) -> String {
    if faults::stack_used_up() {
        return "wasm trap: call stack exhausted".into();
    }
    if journal::explained(error).contains(NO_ADDRESSES) {
        return "WasmEdge found no room for the guest's memory, for which it takes 24 GiB of addresses: raise RLIMIT_AS"
            .into();
    }
    format!("wasm trap: {error}")
}
