//! Components that run once, on WASI 0.2 or 0.3: commands, and functions without parameters.

use std::borrow::Cow;

use anyhow::bail;
use engine::{Equipment, Exit, Loaded, Mapped};
use network::Egress;
use tokio::runtime::Runtime;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::CommandPre;
#[cfg(feature = "p3")]
use wasmtime_wasi::p3::bindings::Command as Command03;
use workload::{Command, Guest, Start as Begin, Wasi};

use crate::component::{self, ComponentState};
use crate::ending::{self, sentence};
use crate::limits::{self, Memory};
use crate::outgoing::Outgoing;
use crate::wasi;
use crate::worlds::takes_parameters;

/// A linker with the host functions of WASI 0.2.
pub struct Once {
    linker: Linker<ComponentState>,
}

/// A mapped component, with the linker of its world.
pub struct MappedComponent<'a> {
    component: Component,
    linker: Cow<'a, Linker<ComponentState>>,
    world: Command,
}

/// A component that is ready to run.
struct LoadedComponent {
    start: Start,
    store: Store<ComponentState>,
    runtime: Runtime,
}

/// The entrypoint.
enum Start {
    Command(CommandPre<ComponentState>),
    /// A command of WASI 0.3.
    #[cfg(feature = "p3")]
    Concurrent(InstancePre<ComponentState>),
    Function {
        component: InstancePre<ComponentState>,
        export: ComponentExportIndex,
        results: usize,
    },
}

impl Once {
    /// Links the world's functions.
    ///
    /// # Errors
    /// When Wasmtime defines one of them twice.
    pub fn link(engine: &Engine) -> wasmtime::Result<Self> {
        Ok(Self { linker: component::linker(engine, Wasi::P2)? })
    }

    /// A component that was compiled by the shared engine.
    pub fn of(&self, component: Component, world: &Command) -> MappedComponent<'_> {
        MappedComponent { component, linker: Cow::Borrowed(&self.linker), world: world.clone() }
    }

    /// A component that was compiled by an engine of its own.
    ///
    /// # Errors
    /// When Wasmtime defines a function twice.
    pub fn of_its_own(component: Component, world: &Command) -> anyhow::Result<MappedComponent<'static>> {
        let linker = component::linker(component.engine(), world.wasi).map_err(sentence)?;
        Ok(MappedComponent { component, linker: Cow::Owned(linker), world: world.clone() })
    }
}

impl Mapped for MappedComponent<'_> {
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        let Self { component, linker, world } = *self;
        let memory = Memory::new(equipment.bound);
        memory.admit(component.resources_required().as_ref())?;
        let linked = component::link(&linker, &component)?;
        let start = match (world.start, world.wasi) {
            #[cfg(feature = "p3")]
            (Begin::Command, Wasi::P3) => {
                check_run(&component, "wasi:cli/run@0.3.", "async func() -> result")?;
                Start::Concurrent(linked)
            }
            #[cfg(not(feature = "p3"))]
            (Begin::Command, Wasi::P3) => bail!("this build knows no WASI 0.3"),
            (Begin::Command, Wasi::P2) => {
                check_run(&component, "wasi:cli/run@0.2.", "func() -> result")?;
                Start::Command(CommandPre::new(linked).map_err(sentence)?)
            }
            (Begin::Function(name), _) => function(&component, linked, &name)?,
        };
        let egress = Egress::of(&guest);
        let wasi = wasi::provide(&guest, 0, &egress)?.build();
        let host = ComponentState::new(
            wasi,
            memory.share(),
            Outgoing::new(egress, &guest.env),
            wasi::config(&guest),
        );
        let mut store = Store::new(linker.engine(), host);
        limits::bind(&mut store);
        Ok(Box::new(LoadedComponent { start, store, runtime: ending::event_loop()? }))
    }
}

/// Checks the type of a command's `run`: Wasmtime would report it only when it runs.
fn check_run(component: &Component, interface: &str, wanted: &str) -> anyhow::Result<()> {
    let is_result = |ty: Type| matches!(&ty, Type::Result(of) if of.ok().is_none() && of.err().is_none());
    component::check_start(component, interface, "run", wanted, |function| {
        let mut results = function.results();
        function.params().len() == 0 && results.len() == 1 && results.next().is_some_and(is_result)
    })
}

fn function(component: &Component, linked: InstancePre<ComponentState>, name: &str) -> anyhow::Result<Start> {
    let found = component.get_export(None, name);
    let Some((ComponentItem::ComponentFunc(ty), export)) = found else {
        bail!("it exports no function {name:?}");
    };
    match ty.params().len() {
        0 => Ok(Start::Function { component: linked, export, results: ty.results().len() }),
        parameters => Err(takes_parameters(name, parameters)),
    }
}

impl Loaded for LoadedComponent {
    fn run(self: Box<Self>) -> Exit {
        let Self { start, store, runtime } = *self;
        ending::run(&runtime, store, async |store| start.run(store).await)
    }
}

impl Start {
    /// Runs it; a `result` that is an error gives exit code 1.
    async fn run(self, store: &mut Store<ComponentState>) -> wasmtime::Result<u8> {
        match self {
            Self::Command(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                let result = command.wasi_cli_run().call_run(store).await?;
                Ok(u8::from(result.is_err()))
            }
            #[cfg(feature = "p3")]
            Self::Concurrent(component) => {
                let component = component.instantiate_async(&mut *store).await?;
                let command = Command03::new(&mut *store, &component)?;
                let result = store
                    .run_concurrent(async |guest| command.wasi_cli_run().call_run(guest).await)
                    .await??;
                Ok(u8::from(result.is_err()))
            }
            Self::Function { component, export, results } => {
                let component = component.instantiate_async(&mut *store).await?;
                let function = component.get_func(&mut *store, export);
                let function =
                    function.ok_or_else(|| wasmtime::format_err!("the export is not a function"))?;
                let mut results = vec![Val::Bool(false); results];
                function.call_async(store, &[], &mut results).await?;
                Ok(u8::from(matches!(results.first(), Some(Val::Result(Err(_))))))
            }
        }
    }
}
