//! The outline of a module: its imports and exports.

use serde::{Deserialize, Serialize};
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentExternalKind, Encoding, ExternalKind, Parser, Payload,
    TypeRef,
};

use super::{Exports, Start, Wasi, WorldError};
use crate::wasi;

/// A custom section that Go's linker writes into each module.
const GO: &str = "go:buildid";

/// A module's imports and exports, independent of where its guest starts. Kept beside its compiled code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    pub(super) is_component: bool,
    /// Go's linker made it.
    pub(super) is_go: bool,
    /// Its code uses the asynchronous half of the component model's ABI.
    pub(super) concurrent: bool,
    /// It defines or imports a shared memory.
    pub(super) shared_memory: bool,
    /// By name for a component, as `module::name` for a core module.
    pub(super) imports: Vec<String>,
    /// Exported functions with their numbers of parameters, which are known for core modules.
    functions: Vec<(String, Option<usize>)>,
    /// Exported interfaces of a component.
    interfaces: Vec<String>,
    /// Exported globals of a core module.
    globals: Vec<String>,
}

impl Outline {
    /// Reads the imports and exports of the binary `wasm`. Does not look at the code: the engine validates it.
    ///
    /// # Errors
    /// [`WorldError::Malformed`].
    pub fn of(wasm: &[u8]) -> Result<Self, WorldError> {
        Self::read(wasm).map_err(|error| WorldError::Malformed(error.to_string()))
    }

    /// Whether `is` holds for one of a component's exported interfaces.
    pub(super) fn exports(&self, is: fn(&str) -> bool) -> bool {
        self.interfaces.iter().any(|name| is(name))
    }

    /// Whether a core module exports the global `name`.
    pub(super) fn exports_global(&self, name: &str) -> bool {
        self.globals.iter().any(|global| global == name)
    }

    /// Checks that no export of a component belongs to an unknown version of WASI.
    pub(super) fn check_versions(&self) -> Result<(), WorldError> {
        let found = |is: fn(&str) -> bool| self.interfaces.iter().find(|name| is(name)).cloned();
        match (found(wasi::is_draft), found(wasi::is_later)) {
            (Some(name), _) => Err(WorldError::Draft(name)),
            (None, Some(name)) => Err(WorldError::Later(name)),
            (None, None) => Ok(()),
        }
    }

    /// Checks that a component imports only what `wasi` offers.
    pub(super) fn check_imports(&self, wasi: Wasi) -> Result<(), WorldError> {
        let has = |name: &str| match wasi {
            Wasi::P2 => wasi::offers_02(name),
            Wasi::P3 => wasi::offers_02(name) || wasi::offers_03(name),
        };
        let unknown: Vec<_> = self.imports.iter().filter(|name| !has(name)).cloned().collect();
        if unknown.is_empty() { Ok(()) } else { Err(WorldError::UnknownImports(unknown)) }
    }

    /// Checks that the exported function `name` can be an entrypoint; `None` if there is none.
    pub(super) fn takes_nothing(&self, name: &str) -> Option<Result<(), WorldError>> {
        let (_, parameters) = self.functions.iter().find(|(exported, _)| exported == name)?;
        Some(match parameters {
            Some(parameters @ 1..) => {
                Err(WorldError::TakesParameters { name: name.into(), parameters: *parameters })
            }
            _ => Ok(()),
        })
    }

    /// The function that the user named.
    pub(super) fn function(&self, name: &str) -> Result<Start, WorldError> {
        let missing = || WorldError::NoFunction { name: name.into(), exports: self.exported() };
        self.takes_nothing(name).ok_or_else(missing)?.map(|()| Start::Function(name.into()))
    }

    /// The error for a missing start, where `wanted` would be one.
    pub(super) fn no_start(&self, wanted: &'static str) -> WorldError {
        WorldError::NoStart { wanted, exports: self.exported() }
    }

    fn exported(&self) -> Exports {
        Exports(self.functions.iter().map(|(name, _)| name.clone()).chain(self.interfaces.clone()).collect())
    }

    fn read(wasm: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut outline = Self::default();
        let mut core = CoreIndex::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            // Nested modules and components import from their component, not from the host.
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // But the canonical functions that connect them count as code.
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
                    self.imports.push(import?.name.name.into());
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
                    self.imports.push(format!("{}::{}", import.module, import.name));
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
                    let name = export.name.to_owned();
                    match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => {
                            self.functions.push((name, core.parameters(export.index)));
                        }
                        ExternalKind::Global => self.globals.push(name),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a canonical function takes part in concurrent calls.
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

/// The part of a core module's index spaces that yields the parameters of exports.
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
