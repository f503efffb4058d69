//! Which ABI a module expects, decided by what it imports and exports and by nothing else.

mod outline;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use outline::Outline;

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
    /// Whether a component's code has several calls at work at once, by the asynchronous half of the component model's ABI:
    /// all of WASI 0.3, and what tools make of programs for 0.2.
    pub concurrent: bool,
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
    /// It begins in a version of WASI that nobody knows.
    #[error("it exports {0}, of a version that is not known here; build it for WASI 0.3 or 0.2")]
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
    /// One with nothing out of the ordinary.
    pub fn plain(abi: Abi, entry: Entry) -> Self {
        Self { abi, entry, polls: false, concurrent: abi == Abi::Wasi03, foreign: Vec::new() }
    }

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
    /// # Errors
    /// See [`Outline::of`] and [`Outline::world`].
    pub fn detect(wasm: &[u8], function: Option<&str>) -> Result<Self, WorldError> {
        Outline::of(wasm)?.world(function)
    }
}

#[cfg(test)]
mod tests;
