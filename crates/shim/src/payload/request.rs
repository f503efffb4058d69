//! What the daemon asks the nursery to give birth to: a type for each, with its data and its descriptors.

use anyhow::Result;
use container::hooks::Moment;
use container::namespaces::Namespaces;
use serde::{Deserialize, Serialize};
use workload::{Choice, Format};

use super::descriptors::{
    Entrance, GuestFiles, HostFd, LineFd, LoggerPipes, NoteFd, OutputFd, PayloadFd, PidFd, SpillFd, Stdio,
    WasmFd, WorkloadFd,
};
use super::passed::{Passed, Slot};

/// A request as it is sent: with what a new process needs before it knows what it is to become.
#[derive(Debug, Serialize, Deserialize)]
pub struct Birth<F = Slot> {
    /// Its line to the daemon.
    pub line: LineFd<F>,
    /// For those who have work among the host's files.
    pub host: Option<HostFd<F>>,
    /// What it is to become.
    pub request: Request<F>,
}

/// What a new process is to become.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request<F = Slot> {
    /// A process that reads Wasm, finds its world and compiles it.
    Prepare(Prepare<F>),
    /// The guest of a new container.
    Wasm(NewGuest<F>),
    /// One more guest in a container.
    ExecGuest(ExecGuest<F>),
    /// A Linux program in a container, whose user is looked up in the image's files on the host.
    ExecProgram(ExecProgram<F>),
    /// A process that reads the output of another.
    Logger(NewLogger<F>),
    /// A process that makes a native container.
    NativeCreate {
        /// The container.
        workload: WorkloadFd<F>,
        /// Those of its first process.
        stdio: Stdio<F>,
        /// Held for as long as somebody makes the container.
        note: NoteFd<F>,
    },
    /// A process that starts a native container.
    NativeStart(WorkloadFd<F>),
    /// A process that removes a native container.
    NativeDelete(WorkloadFd<F>),
    /// A process that runs hooks.
    Hooks {
        /// Which.
        moment: Moment,
        /// The container's first process.
        pid: i32,
        /// The container.
        workload: WorkloadFd<F>,
    },
}

/// See [`Request::Prepare`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Prepare<F = Slot> {
    /// What the file's first bytes say it is.
    pub format: Format,
    /// The function named after `#`.
    pub function: Option<String>,
    /// How many bytes of memory it may take.
    pub memory: u64,
    /// The engine that the container asks for.
    pub engine: Option<Choice>,
    /// Those that the runtime's options allow, if not all.
    pub engines: Option<Vec<String>>,
    /// How it comes into the cgroup that it is charged to.
    pub cgroup: Entrance<F>,
    /// What is compiled.
    pub wasm: WasmFd<F>,
    /// Where the code goes.
    pub output: OutputFd<F>,
    /// Where it goes when that takes no more.
    pub spill: Option<SpillFd<F>>,
}

/// See [`Request::Wasm`].
#[derive(Debug, Serialize, Deserialize)]
pub struct NewGuest<F = Slot> {
    /// Those it is born into, and those it enters.
    pub namespaces: Namespaces,
    /// Those of them that have a path, in their order.
    pub joined: Vec<F>,
    /// How it comes into its cgroup.
    pub cgroup: Entrance<F>,
    /// The container and the guest.
    pub payload: PayloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
    /// What else it is given.
    pub files: GuestFiles<F>,
}

/// See [`Request::ExecGuest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecGuest<F = Slot> {
    /// The container's.
    pub namespaces: Namespaces,
    /// The container's first process, in the host's pid namespace.
    pub pid: i32,
    /// The same process, which nobody else can be.
    pub first: PidFd<F>,
    /// How it comes into the container's cgroup.
    pub cgroup: Entrance<F>,
    /// The container and the guest.
    pub payload: PayloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
    /// What else it is given.
    pub files: GuestFiles<F>,
}

/// See [`Request::ExecProgram`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecProgram<F = Slot> {
    /// The container's.
    pub namespaces: Namespaces,
    /// The container's first process, in the host's pid namespace.
    pub pid: i32,
    /// The same process, which nobody else can be.
    pub first: PidFd<F>,
    /// How it comes into the container's cgroup.
    pub cgroup: Entrance<F>,
    /// The container, with the process in it.
    pub workload: WorkloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
}

/// See [`Request::Logger`].
#[derive(Debug, Serialize, Deserialize)]
pub struct NewLogger<F = Slot> {
    /// Its file and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its descriptors 3 to 5.
    pub pipes: LoggerPipes<F>,
}

impl<F> Request<F> {
    /// Whether it is done among the host's files.
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Prepare(_) | Self::ExecGuest(_) => false,
            Self::Wasm(guest) => guest.namespaces.sees_host(),
            Self::ExecProgram(_) | Self::Logger(_) | Self::Hooks { .. } => true,
            Self::NativeCreate { .. } | Self::NativeStart(_) | Self::NativeDelete(_) => true,
        }
    }
}

const WORKLOAD: &str = "the container's description";

impl<F> Passed<F> for Birth<F> {
    type With<G> = Birth<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Birth<G>> {
        Ok(Birth {
            line: LineFd(to("its line to the daemon", self.line.0)?),
            host: self.host.map(|host| to("the host's mount namespace", host.0).map(HostFd)).transpose()?,
            request: self.request.pass(to)?,
        })
    }
}

impl<F> Passed<F> for Request<F> {
    type With<G> = Request<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Request<G>> {
        Ok(match self {
            Self::Prepare(prepare) => Request::Prepare(prepare.pass(to)?),
            Self::Wasm(guest) => Request::Wasm(guest.pass(to)?),
            Self::ExecGuest(exec) => Request::ExecGuest(exec.pass(to)?),
            Self::ExecProgram(exec) => Request::ExecProgram(exec.pass(to)?),
            Self::Logger(NewLogger { command, env, pipes }) => {
                Request::Logger(NewLogger { command, env, pipes: pipes.pass(to)? })
            }
            Self::NativeCreate { workload, stdio, note } => Request::NativeCreate {
                workload: WorkloadFd(to(WORKLOAD, workload.0)?),
                stdio: stdio.pass(to)?,
                note: NoteFd(to("the container's note", note.0)?),
            },
            Self::NativeStart(workload) => Request::NativeStart(WorkloadFd(to(WORKLOAD, workload.0)?)),
            Self::NativeDelete(workload) => Request::NativeDelete(WorkloadFd(to(WORKLOAD, workload.0)?)),
            Self::Hooks { moment, pid, workload } => {
                Request::Hooks { moment, pid, workload: WorkloadFd(to(WORKLOAD, workload.0)?) }
            }
        })
    }
}

impl<F> Passed<F> for Prepare<F> {
    type With<G> = Prepare<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Prepare<G>> {
        Ok(Prepare {
            format: self.format,
            function: self.function,
            memory: self.memory,
            engine: self.engine,
            engines: self.engines,
            cgroup: self.cgroup.pass(to)?,
            wasm: WasmFd(to("the Wasm", self.wasm.0)?),
            output: OutputFd(to("the file for the code", self.output.0)?),
            spill: self
                .spill
                .map(|spill| to("the second file for the code", spill.0).map(SpillFd))
                .transpose()?,
        })
    }
}

impl<F> Passed<F> for NewGuest<F> {
    type With<G> = NewGuest<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<NewGuest<G>> {
        let joined = self.joined.into_iter().map(|namespace| to("a namespace to enter", namespace));
        Ok(NewGuest {
            namespaces: self.namespaces,
            joined: joined.collect::<Result<_>>()?,
            cgroup: self.cgroup.pass(to)?,
            payload: PayloadFd(to(WORKLOAD, self.payload.0)?),
            stdio: self.stdio.pass(to)?,
            files: self.files.pass(to)?,
        })
    }
}

impl<F> Passed<F> for ExecGuest<F> {
    type With<G> = ExecGuest<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<ExecGuest<G>> {
        Ok(ExecGuest {
            namespaces: self.namespaces,
            pid: self.pid,
            first: PidFd(to("the container's first process", self.first.0)?),
            cgroup: self.cgroup.pass(to)?,
            payload: PayloadFd(to(WORKLOAD, self.payload.0)?),
            stdio: self.stdio.pass(to)?,
            files: self.files.pass(to)?,
        })
    }
}

impl<F> Passed<F> for ExecProgram<F> {
    type With<G> = ExecProgram<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<ExecProgram<G>> {
        Ok(ExecProgram {
            namespaces: self.namespaces,
            pid: self.pid,
            first: PidFd(to("the container's first process", self.first.0)?),
            cgroup: self.cgroup.pass(to)?,
            workload: WorkloadFd(to(WORKLOAD, self.workload.0)?),
            stdio: self.stdio.pass(to)?,
        })
    }
}
