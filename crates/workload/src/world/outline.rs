//! What the outside of a module shows: its imports and exports.

use serde::{Deserialize, Serialize};
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentExternalKind, Encoding, ExternalKind, Parser, Payload,
    TypeRef,
};

use super::{Abi, Entry, Exports, World, WorldError};
use crate::{preview1, wasi};

/// The section that Go's linker writes into each module.
const GO: &str = "go:buildid";
/// How the imports of preview 0 begin.
const PREVIEW_0: &str = "wasi_unstable::";

/// What the outside of a module shows, wherever its guest may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    is_component: bool,
    /// It imports sockets that preview 1 has not.
    sockets: bool,
    /// Go's linker made it.
    is_go: bool,
    /// Its code has the asynchronous half of the component model's ABI.
    concurrent: bool,
    /// It has or imports a memory for several threads.
    shared_memory: bool,
    unknown_imports: Vec<String>,
    /// Imports that WASI 0.3 offers, and no other world.
    imports_03: Vec<String>,
    /// Exported functions and their numbers of parameters, where a core module tells.
    functions: Vec<(String, Option<usize>)>,
    /// Exported interfaces of a component.
    interfaces: Vec<String>,
}

impl Outline {
    /// Reads the imports and exports of the binary `wasm`. The code itself is not looked at: validating it is the
    /// engine's work.
    ///
    /// # Errors
    /// [`WorldError::Malformed`].
    pub fn of(wasm: &[u8]) -> Result<Self, WorldError> {
        Self::read(wasm).map_err(|error| WorldError::Malformed(error.to_string()))
    }

    /// The world of a guest that begins in `function`, or as its ABI says.
    ///
    /// # Errors
    /// [`WorldError`], a clause that continues "cannot run FILE: …".
    pub fn world(&self, function: Option<&str>) -> Result<World, WorldError> {
        if self.shared_memory {
            return Err(WorldError::SharedMemory);
        }
        if self.unknown_imports.iter().any(|import| import.starts_with(PREVIEW_0)) {
            return Err(WorldError::Preview0);
        }
        let abi = self.abi(function)?;
        let foreign = self.unknown_imports(abi);
        if self.is_component && !foreign.is_empty() {
            return Err(WorldError::UnknownImports(foreign));
        }
        let entry = match function {
            Some(name) => self.function(name)?,
            None => self.command()?,
        };
        let concurrent = self.concurrent || abi == Abi::Wasi03;
        Ok(World { abi, entry, polls: self.is_go, concurrent, foreign })
    }

    fn abi(&self, function: Option<&str>) -> Result<Abi, WorldError> {
        let found = |is: fn(&str) -> bool| self.interfaces.iter().find(|name| is(name));
        match self {
            Self { is_component: false, sockets: true, .. } => Ok(Abi::Sockets),
            Self { is_component: false, .. } => Ok(Abi::Preview1),
            _ if function.is_some() => Ok(if self.imports_03.is_empty() { Abi::Wasi02 } else { Abi::Wasi03 }),
            _ if found(wasi::answers_03).is_some() => Ok(Abi::Wasi03),
            _ if found(wasi::answers_02).is_some() => Ok(Abi::Wasi02),
            _ if found(wasi::runs_03).is_some() => Ok(Abi::Wasi03),
            _ if found(wasi::runs_02).is_some() => Ok(Abi::Wasi02),
            _ => match (found(wasi::is_draft), found(wasi::is_later)) {
                (Some(name), _) => Err(WorldError::Draft(name.clone())),
                (None, Some(name)) => Err(WorldError::Later(name.clone())),
                (None, None) => Ok(Abi::Wasi02),
            },
        }
    }

    fn unknown_imports(&self, abi: Abi) -> Vec<String> {
        let others: &[_] = if abi == Abi::Wasi03 { &[] } else { &self.imports_03 };
        [&self.unknown_imports, others].concat()
    }

    fn function(&self, name: &str) -> Result<Entry, WorldError> {
        match self.functions.iter().find(|(exported, _)| exported == name) {
            None => Err(WorldError::NoFunction { name: name.into(), exports: self.exports() }),
            Some((_, Some(parameters @ 1..))) => {
                Err(WorldError::TakesParameters { name: name.into(), parameters: *parameters })
            }
            Some(_) => Ok(Entry::Function(name.into())),
        }
    }

    fn command(&self) -> Result<Entry, WorldError> {
        if self.is_component {
            let exports = |is: fn(&str) -> bool| self.interfaces.iter().any(|name| is(name));
            // What can answer requests is meant to, even where it can run as well.
            return if exports(wasi::answers_03) || exports(wasi::answers_02) {
                Ok(Entry::Requests)
            } else if exports(wasi::runs_03) || exports(wasi::runs_02) {
                Ok(Entry::Command)
            } else {
                let wanted = "wasi:cli/run, wasi:http/incoming-handler or wasi:http/handler";
                Err(WorldError::NoStart { wanted, exports: self.exports() })
            };
        }
        match self.functions.iter().find(|(exported, _)| exported == "_start") {
            None => Err(WorldError::NoStart { wanted: "_start", exports: self.exports() }),
            Some((name, Some(parameters @ 1..))) => {
                Err(WorldError::TakesParameters { name: name.clone(), parameters: *parameters })
            }
            Some(_) => Ok(Entry::Command),
        }
    }

    fn exports(&self) -> Exports {
        Exports(self.functions.iter().map(|(name, _)| name.clone()).chain(self.interfaces.clone()).collect())
    }

    fn read(wasm: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut outline = Self::default();
        let mut core = CoreIndex::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            // Modules and components nested in a component speak to it, not to the host.
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // But what ties them together is code of it.
                Payload::ComponentCanonicalSection(functions) => {
                    for function in functions {
                        outline.concurrent |= is_concurrent(&function?);
                    }
                }
                _ if depth > 0 => {}
                Payload::Version { encoding, .. } => outline.is_component = encoding == Encoding::Component,
                Payload::ComponentImportSection(_) | Payload::ComponentExportSection(_) => {
                    outline.read_component(payload)?;
                }
                _ => outline.read_core(payload, &mut core)?,
            }
        }
        Ok(outline)
    }

    fn read_component(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let name = import?.name.name;
                    if wasi::offers_03(name) {
                        self.imports_03.push(name.into());
                    } else if !wasi::offers_02(name) {
                        self.unknown_imports.push(name.into());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let name = export.name.name.to_owned();
                    match export.kind {
                        ComponentExternalKind::Func => self.functions.push((name, None)),
                        ComponentExternalKind::Instance => self.interfaces.push(name),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_core(
        &mut self,
        payload: Payload<'_>,
        core: &mut CoreIndex,
    ) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types {
                    core.types.extend(group?.types().map(|ty| match &ty.composite_type.inner {
                        wasmparser::CompositeInnerType::Func(func) => Some(func.params().len()),
                        _ => None,
                    }));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => core.functions.push(ty),
                        TypeRef::Memory(memory) => self.shared_memory |= memory.shared,
                        _ => {}
                    }
                    if preview1::offers_socket(import.module, import.name) {
                        self.sockets = true;
                    } else if !preview1::offers(import.module, import.name) {
                        self.unknown_imports.push(format!("{}::{}", import.module, import.name));
                    }
                }
            }
            Payload::CustomSection(section) => self.is_go |= section.name() == GO,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.shared_memory |= memory?.shared;
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    core.functions.push(ty?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        self.functions.push((export.name.into(), core.parameters(export.index)));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a function that ties code to the component model has its part in calls that wait for each other.
fn is_concurrent(function: &CanonicalFunction) -> bool {
    let waits =
        |option: &CanonicalOption| matches!(option, CanonicalOption::Async | CanonicalOption::Callback(_));
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options.iter().any(waits)
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}

/// Just enough of a core module's index spaces to know an export's parameters.
#[derive(Default)]
struct CoreIndex {
    types: Vec<Option<usize>>,
    functions: Vec<u32>,
}

impl CoreIndex {
    fn parameters(&self, function: u32) -> Option<usize> {
        let ty = *self.functions.get(usize::try_from(function).ok()?)?;
        *self.types.get(usize::try_from(ty).ok()?)?
    }
}
