//! Which ABI a module expects, decided by what it imports and exports and by nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wasmparser::{ComponentExternalKind, Encoding, ExternalKind, Parser, Payload, TypeRef};

use crate::{preview1, wasi};

/// The ABI a guest expects of its host, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// What the host must offer.
    pub abi: Abi,
    /// What the host calls.
    pub entry: Entry,
    /// Whether it asks of sockets that it is handed whether anything is there, and never waits at one: so does Go's runtime,
    /// which has one thread for all of a program.
    pub polls: bool,
    /// What a core module imports and no world has, as `module::name`: an engine may have it from elsewhere.
    pub foreign: Vec<String>,
}

/// A set of imports that an engine offers as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Abi {
    /// A core module on `wasi_snapshot_preview1`.
    Preview1,
    /// The same with WasmEdge's sockets.
    Sockets,
    /// A component on WASI 0.2, with its HTTP and its configuration.
    Wasi02,
    /// A component on WASI 0.3, which may import all of 0.2 as well.
    Wasi03,
}

/// Where a guest begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The command's own start: `_start` of a module, `wasi:cli/run` of a component.
    Command,
    /// An export without parameters, after `_initialize` where there is one.
    Function(String),
    /// `wasi:http/incoming-handler` of a component, or `wasi:http/handler` on WASI 0.3, once for each request.
    Requests,
}

/// Why no world fits a module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    /// Not valid Wasm; the parser's sentence tells where.
    #[error("it is not a valid Wasm module: {0}")]
    Malformed(String),
    /// Imports of a component that nobody offers.
    #[error("it imports what no world offers: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// It begins as nobody lets a guest begin in WASI 0.3, or in a version that nobody knows.
    #[error(
        "it exports {0}; what runs of WASI 0.3 is wasi:http/handler@0.3.0 or a later 0.3: build it for that, or for WASI 0.2"
    )]
    Later(String),
    /// It begins in a draft, none of which speaks as the version that came of it.
    #[error("it exports {0}, which is a draft; build it for WASI 0.2.0 or later, with tools of that time")]
    Draft(String),
    /// It is of a time before preview 1.
    #[error("it is built for preview 0 of WASI, wasi_unstable; build it for preview 1, as wasm32-wasip1 is")]
    Preview0,
    /// It wants threads.
    #[error(
        "it has a memory that threads share, and a guest has one thread; build it without, as for wasm32-wasip1 and not \
         for wasm32-wasip1-threads"
    )]
    SharedMemory,
    /// No start, and no function was named.
    #[error(
        "it has no {wanted} to start from; name one of its functions with PATH#FUNCTION (it exports {exports})"
    )]
    NoStart {
        /// What a command would export.
        wanted: &'static str,
        /// What this one exports.
        exports: Exports,
    },
    /// The named function is not there.
    #[error("it exports no function {name:?} (it exports {exports})")]
    NoFunction {
        /// The name after `#`.
        name: String,
        /// What it exports.
        exports: Exports,
    },
    /// The function wants arguments that nobody can give.
    #[error(
        "its function {name:?} takes {parameters} parameters; only functions without any can be an entrypoint"
    )]
    TakesParameters {
        /// The function's name.
        name: String,
        /// How many it wants.
        parameters: usize,
    },
}

/// Names of exported functions, for a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exports(Vec<String>);

impl fmt::Display for Exports {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        match self.0.len() {
            0 => out.write_str("no functions"),
            n if n <= SHOWN => out.write_str(&self.0.join(", ")),
            n => write!(out, "{}, and {} more", self.0[..SHOWN].join(", "), n - SHOWN),
        }
    }
}

impl World {
    /// Whether a guest answers requests until it is told to end.
    pub fn serves(&self) -> bool {
        self.entry == Entry::Requests
    }

    /// What it imports and nobody has, where `has` tells for a module's name whether somebody has it: `env::f, env::g`.
    pub fn unmet(&self, has: impl Fn(&str) -> bool) -> Option<String> {
        let from = |import: &str| import.split_once("::").map_or("", |(module, _)| module).to_owned();
        let unmet: Vec<_> = self.foreign.iter().filter(|import| !has(&from(import))).cloned().collect();
        (!unmet.is_empty()).then(|| unmet.join(", "))
    }

    /// Reads the imports and exports of the binary `wasm`; `function` is what the user put after `#`.
    ///
    /// The code itself is not looked at: validating it is the engine's work.
    ///
    /// # Errors
    /// [`WorldError`], a clause that continues "cannot run FILE: …".
    pub fn detect(wasm: &[u8], function: Option<&str>) -> Result<Self, WorldError> {
        let outline = Outline::of(wasm).map_err(|error| WorldError::Malformed(error.to_string()))?;
        if outline.shared_memory {
            return Err(WorldError::SharedMemory);
        }
        if outline.unknown_imports.iter().any(|import| import.starts_with(PREVIEW_0)) {
            return Err(WorldError::Preview0);
        }
        let abi = outline.abi(function)?;
        let foreign = outline.unknown_imports(abi);
        let polls = outline.is_go;
        if outline.is_component && !foreign.is_empty() {
            return Err(WorldError::UnknownImports(foreign));
        }
        let entry = match function {
            Some(name) => outline.function(name)?,
            None => outline.command()?,
        };
        Ok(Self { abi, entry, polls, foreign })
    }
}

/// The section that Go's linker writes into each module.
const GO: &str = "go:buildid";
/// How the imports of preview 0 begin.
const PREVIEW_0: &str = "wasi_unstable::";

/// What the outside of a module shows.
#[derive(Default)]
struct Outline {
    is_component: bool,
    /// It imports sockets that preview 1 has not.
    sockets: bool,
    /// Go's linker made it.
    is_go: bool,
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
    fn abi(&self, function: Option<&str>) -> Result<Abi, WorldError> {
        let found = |is: fn(&str) -> bool| self.interfaces.iter().find(|name| is(name));
        match self {
            Self { is_component: false, sockets: true, .. } => Ok(Abi::Sockets),
            Self { is_component: false, .. } => Ok(Abi::Preview1),
            _ if function.is_some() => Ok(Abi::Wasi02),
            _ if found(wasi::answers_03).is_some() => Ok(Abi::Wasi03),
            _ if found(wasi::answers_02).or(found(wasi::runs_02)).is_some() => Ok(Abi::Wasi02),
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

    fn function(self, name: &str) -> Result<Entry, WorldError> {
        match self.functions.iter().find(|(exported, _)| exported == name) {
            None => Err(WorldError::NoFunction { name: name.into(), exports: self.exports() }),
            Some((_, Some(parameters @ 1..))) => {
                Err(WorldError::TakesParameters { name: name.into(), parameters: *parameters })
            }
            Some(_) => Ok(Entry::Function(name.into())),
        }
    }

    fn command(self) -> Result<Entry, WorldError> {
        if self.is_component {
            let exports = |is: fn(&str) -> bool| self.interfaces.iter().any(|name| is(name));
            // What can answer requests is meant to, even where it can run as well.
            return if exports(wasi::answers_03) || exports(wasi::answers_02) {
                Ok(Entry::Requests)
            } else if exports(wasi::runs_02) {
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

    fn of(wasm: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut outline = Self::default();
        let mut core = CoreIndex::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            // Modules and components nested in a component speak to it, not to the host.
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
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

#[cfg(test)]
mod tests;
