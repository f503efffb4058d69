//! The daemon's requests to the nursery: a type for each kind of process, with its data and its descriptors.

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

/// A request in transit, with what every new process needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Birth<F = Slot> {
    /// Its line to the daemon.
    pub line: LineFd<F>,
    /// The host's mount namespace, for processes that work on the host's files.
    pub host: Option<HostFd<F>>,
    /// The kind of process.
    pub request: NurseryRequest<F>,
}

/// The kind of a new process.
#[derive(Debug, Serialize, Deserialize)]
pub enum NurseryRequest<F = Slot> {
    /// A process that reads Wasm, detects its world and compiles it.
    Prepare(Prepare<F>),
    /// The guest of a new container.
    Wasm(NewGuest<F>),
    /// Another guest in a container.
    ExecGuest(ExecGuest<F>),
    /// A Linux program in a container; its user is looked up in the image's files on the host.
    ExecProgram(ExecProgram<F>),
    /// A logger, which reads the output of another process.
    Logger(NewLogger<F>),
    /// A process that makes a native container.
    NativeCreate {
        /// The container.
        workload: WorkloadFd<F>,
        /// The streams of its first process.
        stdio: Stdio<F>,
        /// The locked record, held by every process that makes the container.
        note: NoteFd<F>,
    },
    /// A process that starts a native container.
    NativeStart(WorkloadFd<F>),
    /// A process that removes a native container.
    NativeDelete(WorkloadFd<F>),
    /// A process that runs hooks.
    Hooks {
        /// Which hooks.
        moment: Moment,
        /// The pid of the container's first process.
        pid: i32,
        /// The container.
        workload: WorkloadFd<F>,
    },
}

/// See [`NurseryRequest::Prepare`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Prepare<F = Slot> {
    /// The format of the file, from its first bytes.
    pub format: Format,
    /// The function after the `#` of the entrypoint.
    pub function: Option<String>,
    /// The limit on the compiler's memory, in bytes.
    pub memory: u64,
    /// The engine that the container asks for.
    pub engine: Option<Choice>,
    /// The engines that the runtime's options allow; `None` for all.
    pub engines: Option<Vec<String>>,
    /// How it enters the cgroup that it is charged to.
    pub cgroup: Entrance<F>,
    /// The Wasm file.
    pub wasm: WasmFd<F>,
    /// The file for the code.
    pub output: OutputFd<F>,
    /// The file for the code if `output` cannot be written.
    pub spill: Option<SpillFd<F>>,
}

/// See [`NurseryRequest::Wasm`].
#[derive(Debug, Serialize, Deserialize)]
pub struct NewGuest<F = Slot> {
    /// The namespaces that it is born into, and those that it enters.
    pub namespaces: Namespaces,
    /// The namespaces to enter by path, in order.
    pub joined: Vec<F>,
    /// How it enters its cgroup.
    pub cgroup: Entrance<F>,
    /// The container and the guest.
    pub payload: PayloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
    /// Its other files.
    pub files: GuestFiles<F>,
}

/// See [`NurseryRequest::ExecGuest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecGuest<F = Slot> {
    /// The container's namespaces.
    pub namespaces: Namespaces,
    /// The pid of the container's first process in the host's pid namespace.
    pub pid: i32,
    /// The pidfd of the same process, which cannot refer to another one.
    pub first: PidFd<F>,
    /// How it enters the container's cgroup.
    pub cgroup: Entrance<F>,
    /// The container and the guest.
    pub payload: PayloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
    /// Its other files.
    pub files: GuestFiles<F>,
}

/// See [`NurseryRequest::ExecProgram`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecProgram<F = Slot> {
    /// The container's namespaces.
    pub namespaces: Namespaces,
    /// The pid of the container's first process in the host's pid namespace.
    pub pid: i32,
    /// The pidfd of the same process, which cannot refer to another one.
    pub first: PidFd<F>,
    /// How it enters the container's cgroup.
    pub cgroup: Entrance<F>,
    /// The container, with the process in it.
    pub workload: WorkloadFd<F>,
    /// Its streams.
    pub stdio: Stdio<F>,
}

/// See [`NurseryRequest::Logger`].
#[derive(Debug, Serialize, Deserialize)]
pub struct NewLogger<F = Slot> {
    /// Its program and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its descriptors 3 to 5.
    pub pipes: LoggerPipes<F>,
}

impl<F> NurseryRequest<F> {
    /// Whether the process works on the host's files.
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

impl<F> Passed<F> for NurseryRequest<F> {
    type With<G> = NurseryRequest<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<NurseryRequest<G>> {
        Ok(match self {
            Self::Prepare(prepare) => NurseryRequest::Prepare(prepare.pass(to)?),
            Self::Wasm(guest) => NurseryRequest::Wasm(guest.pass(to)?),
            Self::ExecGuest(exec) => NurseryRequest::ExecGuest(exec.pass(to)?),
            Self::ExecProgram(exec) => NurseryRequest::ExecProgram(exec.pass(to)?),
            Self::Logger(NewLogger { command, env, pipes }) => {
                NurseryRequest::Logger(NewLogger { command, env, pipes: pipes.pass(to)? })
            }
            Self::NativeCreate { workload, stdio, note } => NurseryRequest::NativeCreate {
                workload: WorkloadFd(to(WORKLOAD, workload.0)?),
                stdio: stdio.pass(to)?,
                note: NoteFd(to("the container's note", note.0)?),
            },
            Self::NativeStart(workload) => NurseryRequest::NativeStart(WorkloadFd(to(WORKLOAD, workload.0)?)),
            Self::NativeDelete(workload) => {
                NurseryRequest::NativeDelete(WorkloadFd(to(WORKLOAD, workload.0)?))
            }
            Self::Hooks { moment, pid, workload } => {
                NurseryRequest::Hooks { moment, pid, workload: WorkloadFd(to(WORKLOAD, workload.0)?) }
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
