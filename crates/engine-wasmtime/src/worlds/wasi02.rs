//! Components on WASI 0.2: commands, and functions without parameters.

use anyhow::bail;
use engine::{Equipment, Exit, Loaded, Mapped};
use network::Egress;
use tokio::runtime::Runtime;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::CommandPre;
use workload::{Abi, Entry, Guest};

use crate::ending::{self, sentence};
use crate::http::Outgoing;
use crate::limits::{self, Memory};
use crate::wasi;
use crate::worlds::component::{self, Host};
use crate::worlds::takes_parameters;

/// The world's host functions, linked once.
pub struct Wasi02 {
    linker: Linker<Host>,
}

/// A component in memory, with the world it is for.
pub struct MappedComponent<'a> {
    component: Component,
    world: &'a Wasi02,
}

/// A component at its gate.
struct Waiting {
    start: Start,
    store: Store<Host>,
    runtime: Runtime,
}

/// Where it begins.
enum Start {
    Command(CommandPre<Host>),
    Function { component: InstancePre<Host>, export: ComponentExportIndex, results: usize },
}

impl Wasi02 {
    /// Links the world's functions.
    ///
    /// # Errors
    /// When Wasmtime defines one of them twice.
    pub fn link(engine: &Engine) -> wasmtime::Result<Self> {
        Ok(Self { linker: component::linker(engine, Abi::Wasi02)? })
    }

    /// A component that was compiled for this world.
    pub fn of(&self, component: Component) -> MappedComponent<'_> {
        MappedComponent { component, world: self }
    }
}

impl Mapped for MappedComponent<'_> {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { component, world: Wasi02 { linker } } = *self;
        let memory = Memory::new(equipment.bound);
        memory.admit(component.resources_required().as_ref())?;
        let linked = component::link(linker, &component)?;
        let start = match &guest.world.entry {
            Entry::Command => {
                check_run(&component)?;
                Start::Command(CommandPre::new(linked).map_err(sentence)?)
            }
            Entry::Function(name) => function(&component, linked, name)?,
            Entry::Requests => bail!("it answers requests, which is another world's work"),
        };
        let egress = Egress::of(&guest);
        let wasi = wasi::provide(&guest, &egress)?.build();
        let host = Host::new(wasi, memory.share(), Outgoing::new(egress, &guest.env), wasi::config(&guest));
        let mut store = Store::new(linker.engine(), host);
        limits::bind(&mut store, |host| &mut host.memory);
        Ok(Box::new(Waiting { start, store, runtime: ending::event_loop()? }))
    }
}

/// Whether a command's start is what WASI says: Wasmtime would tell only when it runs.
fn check_run(component: &Component) -> anyhow::Result<()> {
    let is_result = |ty: Type| matches!(&ty, Type::Result(of) if of.ok().is_none() && of.err().is_none());
    component::check_start(component, "wasi:cli/run@0.2.", "run", "func() -> result", |function| {
        let mut results = function.results();
        function.params().len() == 0 && results.len() == 1 && results.next().is_some_and(is_result)
    })
}

fn function(component: &Component, linked: InstancePre<Host>, name: &str) -> anyhow::Result<Start> {
    let found = component.get_export(None, name);
    let Some((ComponentItem::ComponentFunc(ty), export)) = found else {
        bail!("it exports no function {name:?}");
    };
    match ty.params().len() {
        0 => Ok(Start::Function { component: linked, export, results: ty.results().len() }),
        parameters => Err(takes_parameters(name, parameters)),
    }
}

impl Loaded for Waiting {
    fn run(self: Box<Self>) -> Exit {
        let Self { start, store, runtime } = *self;
        ending::run(&runtime, start.run(store))
    }
}

impl Start {
    /// Runs it; a `result` that is an error makes exit code 1.
    async fn run(self, mut store: Store<Host>) -> wasmtime::Result<u8> {
        match self {
            Self::Command(command) => {
                let command = command.instantiate_async(&mut store).await?;
                let result = command.wasi_cli_run().call_run(&mut store).await?;
                Ok(u8::from(result.is_err()))
            }
            Self::Function { component, export, results } => {
                let component = component.instantiate_async(&mut store).await?;
                let function = component.get_func(&mut store, export);
                let function =
                    function.ok_or_else(|| wasmtime::format_err!("the export is not a function"))?;
                let mut answers = vec![Val::Bool(false); results];
                function.call_async(&mut store, &[], &mut answers).await?;
                Ok(u8::from(matches!(answers.first(), Some(Val::Result(Err(_))))))
            }
        }
    }
}
