//! How a guest runs: the contract between the shim and every Wasm engine.
//!
//! An engine is peer to the others and sees none of them; the shim picks one, once, by name and by
//! the worlds it supports. It is built in a process without threads, used by children forked from
//! that process, and must therefore start no thread before [`Engine::map`].
//!
//! Unsafe code: `Compiled::vouched` is declared here; whoever calls it says why it may.

mod bound;
mod instance;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use workload::{Guest, World};

pub use bound::{Bound, too_large};
pub use instance::{Core, HostCall, Import, Instance, Module, Pending, Stopped};

/// A Wasm runtime, set up and ready to be forked.
pub trait Engine {
    /// The name users choose it by, as in `lighter.wasm/engine`.
    fn name(&self) -> &'static str;

    /// What tells code that it can run from code that another version, configuration or processor needs.
    fn fingerprint(&self) -> String;

    /// What it lacks to run a guest of `world`: a clause such as `runs core modules only`. `None` if it can.
    fn lacks(&self, world: &World) -> Option<String>;

    /// Turns validated Wasm (binary form) into this engine's own code for a guest of `world`. Runs in a process
    /// of its own, outside the container; may use every core, and the current folder, which is empty and goes with
    /// the process.
    ///
    /// # Errors
    /// A sentence that tells what of the module is not valid.
    fn compile(&self, wasm: &[u8], world: &World) -> anyhow::Result<Vec<u8>>;

    /// Makes the code of `guest` executable, before the box is built around the process: /proc is still in
    /// sight, and once this is done nothing needs to become executable any more.
    ///
    /// # Errors
    /// A sentence that tells why the code cannot be used.
    fn map(&self, code: Compiled, guest: &Guest) -> anyhow::Result<Box<dyn Mapped + '_>>;

    /// Both steps at once, for callers that build no box between them.
    ///
    /// # Errors
    /// See [`Engine::map`] and [`Mapped::load`].
    fn load(&self, code: Compiled, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        self.map(code, &guest)?.load(guest, equipment)
    }
}

/// Code in memory, not yet a guest.
pub trait Mapped {
    /// Links it against its world, opens the guest's preopens and bounds its memory. No instruction of the guest runs
    /// yet. Called in the guest's box, as the guest's user.
    ///
    /// # Errors
    /// A sentence that names what could not be linked or opened.
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>>;
}

/// What a guest's process holds open for it.
#[derive(Debug)]
pub struct Equipment {
    /// How much memory it may have.
    pub bound: Bound,
    /// A socket for each of [`Job::listens`](workload::Job::listens), bound; when the guest runs they listen.
    pub sockets: Vec<OwnedFd>,
    /// Readable once the container was asked to end, for a guest that has requests to finish first.
    pub stop: Option<OwnedFd>,
}

/// A guest at its gate.
pub trait Loaded {
    /// Runs it to its end; one that answers requests may start threads now. Standard input, output and error are the process's own.
    fn run(self: Box<Self>) -> Exit;
}

/// How a guest ended by itself; signals end the process and are the kernel's to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned or called exit.
    Code(u8),
    /// It trapped: the reason and the Wasm backtrace, for people.
    Trap(String),
    /// It trapped because its bound refused it memory: what it held and asked for, and the rest as for a trap.
    OutOfMemory(String),
}

impl Exit {
    /// What a task reports for a trap: 128 + SIGABRT, as for a native program that aborts.
    pub const TRAP: u8 = 134;

    /// The exit status the task reports.
    pub fn status(&self) -> u8 {
        match self {
            Self::Code(code) => *code,
            Self::Trap(_) | Self::OutOfMemory(_) => Self::TRAP,
        }
    }
}

/// Machine code that this program's own compiler made.
#[derive(Debug)]
pub struct Compiled(File);

impl Compiled {
    /// Vouches for `code`: a file whose bytes some [`Engine::compile`] of this very build returned.
    ///
    /// # Safety
    /// The bytes will be run as native code. They must come from `Engine::compile` of the same
    /// engine and build, through channels that nobody but root can write to, and must not change.
    #[expect(unsafe_code, reason = "the one door by which bytes become code")]
    pub unsafe fn vouched(code: File) -> Self {
        Self(code)
    }

    /// The file, for mapping.
    pub fn into_file(self) -> File {
        self.0
    }
}

impl AsFd for Compiled {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
