//! Cases as data: one file per behaviour, whose leading comment lines say how to run it and what
//! to expect. Owns the words of that header; never runs anything.
//!
//! ```text
//! ;; The guest's exit code is the task's.      one or more free sentences, then directives:
//! ;; RUN: --greet world                        arguments after the module's path
//! ;; ENV: A=b                                  repeatable
//! ;; CWD: /work
//! ;; ENTRY: /cases/NAME.wasm#func              default: /cases/NAME.wasm
//! ;; STDIN: one\ntwo\n                         \n, \t and \\ mean what they mean in Rust
//! ;; MOUNT: ro /data                           a host folder whose file `note` says `from the host`
//! ;; READONLY: rootfs
//! ;; USER: 1234:5678
//! ;; SIGNAL: SIGTERM                           sent once the guest printed `ready` on stdout
//! ;; EXIT: 3                                   default: 0
//! ;; STDOUT: a line                            repeatable; all of stdout, a last newline aside
//! ;; STDERR: part of it                        repeatable
//! ;; CREATE: part of the error                 repeatable; Create is to fail, with an error that
//!                                              contains each of them
//! ;; GUEST: hello-p2/hello-p2.wasm             only in NAME.case: a built guest below test/guests
//! ```

mod directive;
mod file;

pub use directive::parse;
pub use file::{LoadError, load_all};

use std::path::PathBuf;
use std::{error, fmt};

/// One behaviour: what to run, and what a container tool must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The file's name without its extension; also the name of the module in the test image.
    pub name: String,
    /// The first of the free sentences.
    pub says: String,
    /// Where the module comes from.
    pub source: Source,
    /// The first argument: the module's path in the image, `#function` included.
    pub entry: String,
    /// The arguments after it.
    pub args: Vec<String>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// The working folder; `None` leaves it to the image.
    pub cwd: Option<String>,
    /// What stdin holds before its end; `None` is an stdin that ends at once.
    pub stdin: Option<String>,
    /// The host folders to bind.
    pub mounts: Vec<Mount>,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// The user and group; `None` is root.
    pub user: Option<User>,
    /// The signal to send once the guest is `ready`.
    pub signal: Option<String>,
    /// What must come of it.
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

/// A host folder seen by the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where the guest sees it.
    pub path: String,
    /// Whether the guest may write there.
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

/// What must come of a case.
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
