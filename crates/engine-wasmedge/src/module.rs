//! A module from its code to its end.

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

use crate::host::Host;
use crate::plugins::Plugins;
use crate::preopens::Folder;
use crate::{faults, host, journal, preopens, settings};

/// The module of WASI preview 1, and of WasmEdge's sockets.
const WASI: &str = "wasi_snapshot_preview1";

/// How often to have WasmEdge number a guest's folders: it needs one try, and a few where memory was used before.
const TRIES: usize = 64;

/// How WasmEdge tells that it has no room for a memory; it goes on without, and traps.
const NO_ADDRESSES: &str = "usable memory address";

/// How WasmEdge tells of a growth that it refused.
const NO_MEMORY: &str = "exceeded limited";

/// A module in memory.
pub struct MappedModule<'a> {
    code: Code,
    world: Preview1,
    plugins: &'a Plugins,
}

struct Code {
    module: Module,
    /// It is mapped from here.
    _file: File,
}

/// A module at its gate.
struct Waiting {
    code: Code,
    wasi: WasiModule,
    /// Modules of plug-ins, under the names that are imported.
    plugins: Vec<(String, Instance)>,
    host: &'static Host,
    config: Config,
    start: Start,
}

impl<'a> MappedModule<'a> {
    /// Maps compiled code. WasmEdge opens it only by a path, so /proc must be in sight.
    ///
    /// # Errors
    /// When the code cannot be used; when the guest is to be given what WasmEdge has not.
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
        // The bound is of no meaning here.
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
        let folders = preopens::folders(&guest.preopens)?;
        let mut wasi = wasi(&guest, &folders)?;
        let names = folders.into_iter().map(|folder| folder.name).collect();
        let host = host::replace(&mut wasi, Egress::of(&guest), names)?;
        let plugins = plugins.needed(&world)?;
        check_imports(&code.module, &wasi, &plugins).context("cannot link the module")?;
        let config = settings::running(bound)?;
        Ok(Box::new(Waiting { code, wasi, plugins, host, config, start: world.start }))
    }
}

/// WasmEdge's WASI with the guest's arguments, environment and folders; standard streams are the process's.
fn wasi(guest: &Guest, folders: &[Folder]) -> anyhow::Result<WasiModule> {
    let env: Vec<_> = guest.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let folders: Vec<_> = folders.iter().map(|folder| folder.described.clone()).collect();
    let ends_early = |text: &String| text.contains('\0');
    ensure!(
        !guest.args.iter().chain(&env).any(ends_early),
        "an argument or a variable has a zero byte in it, where it would end for the guest"
    );
    fn all(texts: &[String]) -> Option<Vec<&str>> {
        Some(texts.iter().map(String::as_str).collect())
    }
    // Kept, so that the next one finds other places.
    let mut out_of_order = Vec::new();
    for _ in 0..TRIES {
        let wasi = WasiModule::create(all(&guest.args), all(&env), all(&folders));
        let wasi = wasi.context("cannot set up WasmEdge's WASI")?;
        if host::is_in_order(&wasi, folders.len()) {
            return Ok(wasi);
        }
        out_of_order.push(wasi);
    }
    bail!("WasmEdge does not number the guest's folders in their order, tried {TRIES} times")
}

/// A memory that begins larger than it may be.
fn check_memory(module: &Module, bound: u64) -> anyhow::Result<()> {
    for export in module.exports() {
        if let Ok(ExternalInstanceType::Memory(memory)) = export.ty() {
            let needed = u64::from(memory.minimum()) << 16;
            ensure!(memory.minimum() <= settings::pages(bound), too_large(needed, 0, bound));
        }
    }
    Ok(())
}

/// Each import has a function of its type, under its name or, as WasmEdge links them, its second version's.
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

impl Loaded for Waiting {
    fn run(self: Box<Self>) -> Exit {
        let Self { code, mut wasi, mut plugins, host, config, start } = *self;
        journal::clear();
        let mut imports: HashMap<String, &mut dyn SyncInst> = HashMap::new();
        imports.insert(WASI.to_owned(), wasi.as_mut());
        imports.extend(plugins.iter_mut().map(|(name, plugin)| (name.clone(), plugin as &mut dyn SyncInst)));
        let ended = begin(&code.module, imports, host, &config, &start);
        match (host.exited(), ended) {
            // As the kernel does: the low eight bits.
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

/// Instantiates the module, which runs its start function, and calls what it begins with.
fn begin(
    module: &Module,
    imports: HashMap<String, &mut dyn SyncInst>,
    host: &Host,
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
        // Leaving by exit is no error to WasmEdge, and no end.
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
