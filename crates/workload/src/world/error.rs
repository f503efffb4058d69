//! Why no world fits a module, worded for its author.

use std::fmt;

use thiserror::Error;

/// Why no world fits a module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorldError {
    /// Not valid Wasm; the parser's message includes the position.
    #[error("it is not a valid Wasm module: {0}")]
    Malformed(String),
    /// Imports of a component that no world offers.
    #[error("it imports what no world offers: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// It exports an unknown version of WASI.
    #[error("it exports {0}, of a version that is not known here; build it for WASI 0.3 or 0.2")]
    Later(String),
    /// It exports a draft. Drafts are incompatible with the released versions.
    #[error("it exports {0}, which is a draft; build it for WASI 0.2.0 or later, with tools of that time")]
    Draft(String),
    /// It is built for a predecessor of its world: a clause that says what to do.
    #[error("{0}")]
    Outdated(&'static str),
    /// It needs threads.
    #[error(
        "it has a memory that threads share, and a guest has one thread; build it without, as for wasm32-wasip1 and not \
         for wasm32-wasip1-threads"
    )]
    SharedMemory,
    /// It has no start, and no function was named.
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
    /// The function has parameters, for which there are no arguments.
    #[error(
        "its function {name:?} takes {parameters} parameters; only functions without any can be an entrypoint"
    )]
    TakesParameters {
        /// The function's name.
        name: String,
        /// The number of its parameters.
        parameters: usize,
    },
}

/// Names of exported functions, for an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exports(pub(super) Vec<String>);

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
