//! How a guest runs: the contract between the shim and every Wasm engine.
//!
//! Engines are peers and do not know each other; the shim picks one, once, by name and by the worlds it supports. It is
//! created in a process without threads and used by processes forked from that one, so it must start no thread before
//! [`Engine::map`].
//!
//! Unsafe code: `Compiled::vouched` is declared here; its callers justify their calls.

mod bound;
mod instance;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use workload::{Guest, World};

pub use bound::{Bound, too_large};
pub use instance::{Core, HostCall, Import, Instance, Module, Pending, Stopped};

/// A Wasm runtime, set up and ready to be forked.
pub trait Engine {
    /// The name by which users choose it, as in `lighter.wasm/engine`.
    fn name(&self) -> &'static str;

    /// Identifies the code that it can run: its version, its configuration and the processor.
    fn fingerprint(&self) -> String;

    /// What it lacks to run a guest of `world`: a clause such as `runs core modules only`. `None` if it can.
    fn lacks(&self, world: &World) -> Option<String>;

    /// Compiles validated Wasm (binary format) into this engine's own code for a guest of `world`. Runs in a process of
    /// its own, outside the container. May use every core, and the current directory, which is empty and vanishes with
    /// the process.
    ///
    /// # Errors
    /// A sentence about what is not valid in the module.
    fn compile(&self, wasm: &[u8], world: &World) -> anyhow::Result<Vec<u8>>;

    /// Makes the code of `guest` executable. Runs before the box is built around the process: the host's /proc is still
    /// visible, and nothing can be made executable afterwards.
    ///
    /// # Errors
    /// A sentence about why the code cannot be used.
    fn map(&self, code: Compiled, guest: &Guest) -> anyhow::Result<Box<dyn Mapped + '_>>;

    /// Maps and loads, for callers that build no box in between.
    ///
    /// # Errors
    /// See [`Engine::map`] and [`Mapped::load`].
    fn load(&self, code: Compiled, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>> {
        self.map(code, &guest)?.load(guest, equipment)
    }
}

/// Code in memory, not yet a guest.
pub trait Mapped {
    /// Links it to its world, opens the guest's preopens and bounds its memory. No instruction of the guest runs yet.
    /// Called in the guest's box, as the guest's user.
    ///
    /// # Errors
    /// A sentence that names what could not be linked or opened.
    fn load(self: Box<Self>, guest: Guest, equipment: Equipment) -> anyhow::Result<Box<dyn Loaded>>;
}

/// The files and sockets of a guest's process that its engine uses.
#[derive(Debug)]
pub struct Equipment {
    /// The limit on its memory.
    pub bound: Bound,
    /// A bound socket for each of [`Job::listens`](workload::Job::listens); they listen by the time the guest runs.
    pub sockets: Vec<OwnedFd>,
    /// For a guest that answers requests: becomes readable when the container is to stop, so that requests are drained.
    pub stop: Option<OwnedFd>,
}

/// A loaded guest, ready to run.
pub trait Loaded {
    /// Runs it until it ends; one that answers requests may start threads now. Standard input, output and error are the
    /// process's own.
    fn run(self: Box<Self>) -> Exit;
}

/// How a guest ended by itself. Signals end the process, and the kernel reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned or called exit.
    Code(u8),
    /// It trapped: the reason and the Wasm backtrace, for people.
    Trap(String),
    /// It trapped because its bound refused it memory: the sizes that it had and requested, then as for a trap.
    OutOfMemory(String),
}

impl Exit {
    /// The exit status of a trap: 128 + SIGABRT, as for a native program that aborts.
    pub const TRAP: u8 = 134;

    /// The exit status that the task reports.
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
    /// The bytes will be run as native code. They must come from `Engine::compile` of the same engine and build,
    /// through channels that only root can write to, and must not change.
    #[expect(unsafe_code, reason = "the only place where bytes become code")]
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
