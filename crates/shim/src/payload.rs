//! What crosses the nursery's socket: plain data, never a pointer to code.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use container::cgroup::Way;
use container::hooks::Moment;
use container::namespaces::Namespaces;
use serde::{Deserialize, Serialize};
use workload::{Choice, Format, Guest, Outline, Workload};

/// What the daemon asks the nursery to give birth to. The first descriptor with each is the new
/// process's end of a channel to the daemon, the second, for those with work there, the host's mount namespace;
/// the others are listed.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A process that reads Wasm, finds its world and compiles it. Descriptors: those of `cgroup`, Wasm, output.
    Prepare {
        /// What the file's first bytes say it is.
        format: Format,
        /// The function named after `#`.
        function: Option<String>,
        /// How many bytes of memory it may take.
        memory: u64,
        /// The engine that the container asks for.
        engine: Option<Choice>,
        /// Those that the runtime's options allow, if not all.
        engines: Option<Vec<String>>,
        /// How it comes into the cgroup that it is charged to.
        cgroup: Way,
    },
    /// A Wasm container. Descriptors: those of `cgroup`, [`Payload`] as JSON, the namespaces with a path, stdin,
    /// stdout, stderr, code, bound.
    Wasm {
        /// Those it is born into, and those it enters.
        namespaces: Namespaces,
        /// How it comes into its cgroup.
        cgroup: Way,
    },
    /// One more process in the container whose first process has this id. Descriptors: those of
    /// `cgroup`, [`Payload`] as JSON, the first process's own, stdin, stdout, stderr; for a guest code and bound, too.
    Exec {
        /// In the host's pid namespace.
        pid: i32,
        /// How it comes into the container's cgroup.
        cgroup: Way,
        /// Whether it is a Linux program, whose user is looked up in the image's files on the host.
        program: bool,
    },
    /// A process that reads the output of another. Descriptors: its fds 3, 4 and 5.
    Logger {
        /// Its file and its arguments.
        command: Vec<String>,
        /// Its whole environment.
        env: Vec<(String, String)>,
    },
    /// A process that makes a native container. Descriptors: [`Workload`] as JSON, stdin, stdout, stderr, the held note.
    NativeCreate,
    /// A process that starts a native container. Descriptors: [`Workload`] as JSON.
    NativeStart,
    /// A process that removes a native container. Descriptors: [`Workload`] as JSON.
    NativeDelete,
    /// A process that runs hooks. Descriptors: [`Workload`] as JSON.
    Hooks {
        /// Which.
        moment: Moment,
        /// The container's first process.
        pid: i32,
    },
}

impl Request {
    /// Whether it is done among the host's files.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Prepare { .. } => false,
            Self::Exec { program, .. } => *program,
            Self::Wasm { namespaces, .. } => namespaces.sees_host(),
            Self::Logger { .. } | Self::NativeCreate | Self::NativeStart | Self::NativeDelete => true,
            Self::Hooks { .. } => true,
        }
    }
}

/// What the nursery says: first whether it is ready, then an answer to each request. With a birth the new
/// process's pidfd is attached.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Its engines are set up: what compiled code must have been made by to be theirs.
    Ready(String),
    /// The process's id in the host's pid namespace.
    Born(i32),
    /// Why there is none.
    Failed(String),
}

/// What a new process tells the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// A midwife gave birth: the box's id. Its pidfd is attached.
    Delivered(i32),
    /// The Wasm is compiled.
    Prepared(Outline),
    /// The Wasm is compiled, and its code is in the second file: why the first, the cache's, did not take it.
    Spilled(Outline, String),
    /// Why this Wasm cannot be compiled, whoever tries: one sentence.
    Unfit(String),
    /// The native container waits to be started: the id of its first process. The other side of its
    /// terminal is attached, if it has one.
    Created(i32),
    /// The executed program has a terminal, whose other side is attached.
    Terminal,
    /// The box is in its namespaces, and in its cgroup unless it is moved from outside, and waits for [`Order::Enter`].
    Joined,
    /// The guest is loaded and waits for [`Order::Go`].
    Ready {
        /// The steps it took there, with their microseconds.
        steps: Vec<(String, u64)>,
        /// Whether something may fail yet before it runs: then it tells how that went.
        tells: bool,
    },
    /// The errand is done.
    Done,
    /// Why not: one sentence.
    Failed(String),
}

/// What the daemon tells a box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Take these for the box. Descriptors: its root and its volumes, or more of them.
    Take,
    /// The cgroup, the id maps and the hooks outside are in place: build the box.
    Enter,
    /// Run the guest.
    Go,
}

/// All that a process needs to know of what it is to become.
#[derive(Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The container, and the process in it.
    pub workload: Workload,
    /// What a guest is given; a Linux program has none.
    pub guest: Option<Guest>,
}

/// Reads a sealed JSON file back.
///
/// # Errors
/// When it is not the JSON of a `T`.
pub fn read<T: serde::de::DeserializeOwned>(fd: OwnedFd) -> io::Result<T> {
    Ok(serde_json::from_reader(io::BufReader::new(File::from(fd)))?)
}
