//! What all components share: the linker and the state of its host functions.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use network::Egress;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, InstancePre, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use workload::Wasi;

use crate::ending::sentence;
use crate::limits::{Bounded, MemoryBound};
use crate::outgoing::{self, Outgoing};
use crate::{files, lookup, paths};

/// The state of a component's host functions.
pub struct ComponentState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    config: Arc<WasiConfigVariables>,
    memory: MemoryBound,
}

impl ComponentState {
    /// A state with an empty table of handles, limited by `memory`.
    pub fn new(
        wasi: WasiCtx,
        memory: MemoryBound,
        outgoing: Outgoing,
        config: Arc<WasiConfigVariables>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(memory.handles());
        Self { wasi, table, http: WasiHttpCtx::new(), outgoing, config, memory }
    }
}

impl Bounded for ComponentState {
    fn memory(&mut self) -> &mut MemoryBound {
        &mut self.memory
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl lookup::EgressView for ComponentState {
    fn egress(&self) -> Arc<Egress> {
        Arc::clone(self.outgoing.egress())
    }
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Links what every component of `wasi` may import; [`link`] adds what only few import.
///
/// # Errors
/// When Wasmtime defines a function twice.
pub fn linker(engine: &Engine, wasi: Wasi) -> wasmtime::Result<Linker<ComponentState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::link(&mut linker)?;
    paths::link_02(&mut linker)?;
    lookup::link(&mut linker)?;
    if wasi == Wasi::P3 {
        link_03(&mut linker)?;
    }
    Ok(linker)
}

#[cfg(feature = "p3")]
fn link_03(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    paths::link_03(linker)?;
    lookup::link_03(linker)
}

#[cfg(not(feature = "p3"))]
fn link_03(_linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    Err(wasmtime::format_err!("this build knows no WASI 0.3"))
}

/// Links `component`, with HTTP and configuration if it imports them.
///
/// # Errors
/// Names the import that the host does not offer.
pub fn link(
    linker: &Linker<ComponentState>,
    component: &Component,
) -> anyhow::Result<InstancePre<ComponentState>> {
    let mut linker = Cow::Borrowed(linker);
    let imports = |package: &str| {
        component.component_type().imports(component.engine()).any(|(name, _)| name.starts_with(package))
    };
    let linked = (|| {
        if imports("wasi:http/") {
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker.to_mut())?;
            outgoing::link(linker.to_mut())?;
        }
        if imports("wasi:config/") {
            wasmtime_wasi_config::add_to_linker(linker.to_mut(), |host: &mut ComponentState| {
                WasiConfig::from(&*host.config)
            })?;
        }
        linker.instantiate_pre(component)
    })();
    linked.map_err(sentence).context("cannot link the component")
}

/// Checks the type of the exported function that the host calls: `name` of the interface whose name begins with
/// `interface`.
///
/// # Errors
/// Names the interface, the function and the type `wanted`.
pub fn check_start(
    component: &Component,
    interface: &str,
    name: &str,
    wanted: &str,
    is_right: impl FnOnce(&ComponentFunc) -> bool,
) -> anyhow::Result<()> {
    let (engine, ty) = (component.engine(), component.component_type());
    let mut exports = ty.exports(engine).filter(|(export, _)| export.starts_with(interface));
    // Linking reports a missing export.
    let Some((export, found)) = exports.next() else { return Ok(()) };
    let ComponentItem::ComponentInstance(instance) = found.ty else {
        bail!("its export {export} is no interface")
    };
    let function = instance.get_export(engine, name).map(|found| found.ty);
    let right = matches!(&function, Some(ComponentItem::ComponentFunc(function)) if is_right(function));
    ensure!(
        right,
        "its {export} has no function {name} of the type `{wanted}`; build it with tools for that version"
    );
    Ok(())
}
