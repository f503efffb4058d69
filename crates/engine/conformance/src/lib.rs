//! The contract of all engines: one case per behaviour, run on an engine alone and through the shim.
//!
//! A case is a file whose leading comment lines say how to run it and what to expect. This crate owns the directives of
//! that header, the table of the engines' differences by design (`README.md`), and the program that runs the cases on
//! an engine alone (`main`). It names no engine.
//!
//! ```text
//! ;; The guest's exit code is the task's.      one or more free sentences, then directives:
//! ;; RUN: --greet world                        arguments after the module's path
//! ;; ARG: two words                            repeatable; one more argument, verbatim, may be empty
//! ;; ENV: A=b                                  repeatable
//! ;; CWD: /work
//! ;; ENTRY: /cases/NAME.wasm#func              default: /cases/NAME.wasm
//! ;; STDIN: one\ntwo\n                         escapes: \n, \t and \\
//! ;; MOUNT: ro /data                           a host directory whose file `note` contains `from the host`
//! ;; READONLY: rootfs
//! ;; USER: 1234:5678
//! ;; MEMORY: 32 MiB                            the container's limit; the guest gets a part of it
//! ;; SIGNAL: SIGTERM                           sent once the guest printed `ready` on stdout
//! ;; EXIT: 3                                   default: 0
//! ;; STDOUT: a line                            repeatable; all of stdout, except a last newline
//! ;; STDERR: part of it                        repeatable
//! ;; CREATE: part of the error                 repeatable; Create is to fail, with an error that
//!                                              contains each of them
//! ;; GUEST: hello-p2/hello-p2.wasm             only in NAME.case: a built guest below test/guests
//! ```
//!
//! Unsafe code: `alone` only.

#[expect(unsafe_code, reason = "a guest's code is vouched for")]
mod alone;
mod differences;
mod directive;
mod expected;
mod file;

pub use alone::main;
pub use file::LoadError;

use std::path::{Path, PathBuf};
use std::{error, fmt};

use crate::differences::Differences;

/// All cases, with the differences of `engine` applied, sorted by name.
///
/// # Errors
/// [`LoadError`] for the first file that is no valid case, or the first invalid row of the table.
pub fn contract(engine: &str) -> Result<Vec<Case>, LoadError> {
    let cases = file::load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"))?;
    let table = include_str!("../README.md");
    let differences = Differences::parse("README.md", table, &cases).map_err(LoadError::Parse)?;
    Ok(cases.into_iter().map(|case| differences.on(engine, case)).collect())
}

/// One behaviour: what to run, and what a container tool must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The file's name without its extension; also the name of the module in the test image.
    pub name: String,
    /// The first sentence of the header.
    pub says: String,
    /// Where the module comes from.
    pub source: Source,
    /// The first argument: the module's path in the image, `#function` included.
    pub entry: String,
    /// The arguments after it.
    pub args: Vec<String>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// The working directory; `None` leaves it to the image.
    pub cwd: Option<String>,
    /// What stdin holds before EOF; `None` means EOF at once.
    pub stdin: Option<String>,
    /// The host directories to bind-mount.
    pub mounts: Vec<Mount>,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// The user and group; `None` is root.
    pub user: Option<User>,
    /// The container's limit on memory, in bytes.
    pub memory: Option<u64>,
    /// The signal to send once the guest is `ready`.
    pub signal: Option<String>,
    /// The expected outcome.
    pub expected: Expected,
}

/// Where the module of a case comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The text of the `.wat` file itself.
    Text(String),
    /// A guest built beforehand: its path relative to `test/guests`.
    Guest(PathBuf),
}

/// A host directory in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its path in the guest.
    pub path: String,
    /// Whether the guest may write to it.
    pub writable: bool,
}

/// Numeric user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The expected outcome of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Create fails, with an error that contains each of these.
    Refused(Vec<String>),
    /// The task ran.
    Exit {
        /// Its exit code.
        code: u8,
        /// All of its stdout, without a last newline; `None`: anything.
        stdout: Option<String>,
        /// What its stderr must contain.
        stderr: Vec<String>,
    },
}

/// What is wrong with a header: the file, the line (from 1) and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file's name.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl error::Error for ParseError {}

impl fmt::Display for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.uid, self.gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_and_the_table_of_this_project_are_well_formed() {
        contract("any").unwrap_or_else(|error| panic!("{error}"));
    }
}
