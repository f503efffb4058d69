//! The descriptors on the nursery's socket, each with a type of its own, so that none can be confused with another. `F`
//! is the representation, see [`Passed`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use container::cgroup::{Entry, EntryMode};
use container::channel::sealed_json;
use serde::{Deserialize, Serialize};
use workload::{Guest, Outline, Workload};

use super::passed::Passed;

/// The new process's end of its line to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub struct LineFd<F>(pub F);

/// The host's mount namespace.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostFd<F>(pub F);

/// A file of Wasm.
#[derive(Debug, Serialize, Deserialize)]
pub struct WasmFd<F>(pub F);

/// The file into which the compiler writes the code.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutputFd<F>(pub F);

/// The file in memory for code that cannot be written to the first.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpillFd<F>(pub F);

/// Compiled code that can never change.
#[derive(Debug, Serialize, Deserialize)]
pub struct CodeFd<F>(pub F);

/// The file that bounds a guest's memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct BoundFd<F>(pub F);

/// The eventfd by which a guest's process reports that it ran out of memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct OomFd<F>(pub F);

/// The pidfd of a process.
#[derive(Debug, Serialize, Deserialize)]
pub struct PidFd<F>(pub F);

/// A container's record, locked while the container is made.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteFd<F>(pub F);

/// The master side of a process's terminal.
#[derive(Debug, Serialize, Deserialize)]
pub struct TerminalFd<F>(pub F);

/// A sealed file with a [`Workload`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkloadFd<F>(pub F);

/// A sealed file with a [`Payload`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct PayloadFd<F>(pub F);

/// The data of a guest's process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The container, and the process in it.
    pub workload: Workload,
    /// The guest.
    pub guest: Guest,
    /// The engine that compiled its code.
    pub engine: String,
}

/// The note that is stored with compiled code.
#[derive(Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// The module's imports and exports.
    pub outline: Outline,
    /// The engine that compiled it.
    pub engine: String,
}

/// The source of standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stdin<F>(pub F);

/// The destination of standard output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stdout<F>(pub F);

/// The destination of standard error.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stderr<F>(pub F);

/// The standard streams of a process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stdio<F> {
    /// Its descriptor 0.
    pub stdin: Stdin<F>,
    /// Its descriptor 1.
    pub stdout: Stdout<F>,
    /// Its descriptor 2.
    pub stderr: Stderr<F>,
}

/// The pipes of a logger.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoggerPipes<F> {
    /// Its descriptor 3: what the process writes to standard output.
    pub stdout: Stdout<F>,
    /// Its descriptor 4: what the process writes to standard error.
    pub stderr: Stderr<F>,
    /// Its descriptor 5, which it closes when it is ready.
    pub ready: ReadyFd<F>,
}

/// A pipe that a logger closes, or writes to, when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadyFd<F>(pub F);

/// The files of a guest's process other than its streams.
#[derive(Debug, Serialize, Deserialize)]
pub struct GuestFiles<F> {
    /// Its code.
    pub code: CodeFd<F>,
    /// The bound on its memory.
    pub bound: BoundFd<F>,
    /// The event by which it reports that it ran out of memory.
    pub oom_event: OomFd<F>,
}

/// How a process enters its cgroup.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entrance<F> {
    /// It is cloned into the cgroup of this directory (`CLONE_INTO_CGROUP`).
    CloneInto(F),
    /// It moves itself by writing to these files.
    SelfMove(Vec<F>),
    /// The daemon moves it once it exists.
    FromOutside,
}

impl<F> Passed<F> for Stdio<F> {
    type With<G> = Stdio<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Stdio<G>> {
        Ok(Stdio {
            stdin: Stdin(to("standard input", self.stdin.0)?),
            stdout: Stdout(to("standard output", self.stdout.0)?),
            stderr: Stderr(to("standard error", self.stderr.0)?),
        })
    }
}

impl<F> Passed<F> for LoggerPipes<F> {
    type With<G> = LoggerPipes<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<LoggerPipes<G>> {
        Ok(LoggerPipes {
            stdout: Stdout(to("the logged standard output", self.stdout.0)?),
            stderr: Stderr(to("the logged standard error", self.stderr.0)?),
            ready: ReadyFd(to("the pipe by which a logger is ready", self.ready.0)?),
        })
    }
}

impl<F> Passed<F> for GuestFiles<F> {
    type With<G> = GuestFiles<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<GuestFiles<G>> {
        Ok(GuestFiles {
            code: CodeFd(to("the compiled code", self.code.0)?),
            bound: BoundFd(to("the memory's bound", self.bound.0)?),
            oom_event: OomFd(to("the event for want of memory", self.oom_event.0)?),
        })
    }
}

impl<F> Passed<F> for Entrance<F> {
    type With<G> = Entrance<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Entrance<G>> {
        Ok(match self {
            Self::CloneInto(dir) => Entrance::CloneInto(to("its cgroup", dir)?),
            Self::SelfMove(files) => {
                let files = files.into_iter().map(|file| to("a file of its cgroup", file));
                Entrance::SelfMove(files.collect::<Result<_>>()?)
            }
            Self::FromOutside => Entrance::FromOutside,
        })
    }
}

impl<'a> Entrance<BorrowedFd<'a>> {
    /// The entrance to the cgroup of `entry`.
    ///
    /// # Errors
    /// When `entry` lacks the directory to be cloned into.
    pub fn of(entry: &'a Entry) -> Result<Self> {
        Ok(match (entry.mode, entry.fds.as_slice()) {
            (EntryMode::CloneInto, [dir]) => Self::CloneInto(dir.as_fd()),
            (EntryMode::SelfMove(_), files) => Self::SelfMove(files.iter().map(AsFd::as_fd).collect()),
            (EntryMode::FromOutside, _) => Self::FromOutside,
            (EntryMode::CloneInto, _) => bail!("there is no cgroup directory to be cloned into"),
        })
    }
}

impl Entrance<OwnedFd> {
    /// The directory of the cgroup to be cloned into.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::CloneInto(dir) => Some(dir.as_fd()),
            Self::SelfMove(_) | Self::FromOutside => None,
        }
    }
}

impl<F> From<[F; 3]> for Stdio<F> {
    fn from([stdin, stdout, stderr]: [F; 3]) -> Self {
        Self { stdin: Stdin(stdin), stdout: Stdout(stdout), stderr: Stderr(stderr) }
    }
}

impl<F> Stdio<F> {
    /// In the order of their numbers, 0 to 2.
    pub fn in_order(self) -> [F; 3] {
        [self.stdin.0, self.stdout.0, self.stderr.0]
    }
}

impl<F: AsFd> Stdio<F> {
    /// Borrows it for sending.
    pub fn borrowed(&self) -> Stdio<BorrowedFd<'_>> {
        Stdio {
            stdin: Stdin(self.stdin.0.as_fd()),
            stdout: Stdout(self.stdout.0.as_fd()),
            stderr: Stderr(self.stderr.0.as_fd()),
        }
    }
}

impl<F: AsFd> CodeFd<F> {
    /// Borrows it for sending.
    pub fn borrowed(&self) -> CodeFd<BorrowedFd<'_>> {
        CodeFd(self.0.as_fd())
    }
}

impl<F: AsFd> BoundFd<F> {
    /// Borrows it for sending.
    pub fn borrowed(&self) -> BoundFd<BorrowedFd<'_>> {
        BoundFd(self.0.as_fd())
    }
}

impl<F: AsFd> NoteFd<F> {
    /// Borrows it for sending.
    pub fn borrowed(&self) -> NoteFd<BorrowedFd<'_>> {
        NoteFd(self.0.as_fd())
    }
}

impl WorkloadFd<File> {
    /// Writes a workload.
    ///
    /// # Errors
    /// When memory or descriptors run out.
    pub fn of(workload: &Workload) -> io::Result<Self> {
        sealed_json("workload", workload).map(Self)
    }

    /// Borrows it for sending.
    pub fn borrowed(&self) -> WorkloadFd<BorrowedFd<'_>> {
        WorkloadFd(self.0.as_fd())
    }
}

impl WorkloadFd<OwnedFd> {
    /// Reads the workload.
    ///
    /// # Errors
    /// When the file holds no workload.
    pub fn read(self) -> io::Result<Workload> {
        read(self.0)
    }
}

impl PayloadFd<File> {
    /// Writes a payload.
    ///
    /// # Errors
    /// When memory or descriptors run out.
    pub fn of(payload: &Payload) -> io::Result<Self> {
        sealed_json("workload", payload).map(Self)
    }

    /// Borrows it for sending.
    pub fn borrowed(&self) -> PayloadFd<BorrowedFd<'_>> {
        PayloadFd(self.0.as_fd())
    }
}

impl PayloadFd<OwnedFd> {
    /// Reads the payload.
    ///
    /// # Errors
    /// When the file holds no payload.
    pub fn read(self) -> io::Result<Payload> {
        read(self.0)
    }
}

fn read<T: serde::de::DeserializeOwned>(fd: OwnedFd) -> io::Result<T> {
    Ok(serde_json::from_reader(io::BufReader::new(File::from(fd)))?)
}
