//! The descriptors that cross the nursery's socket, each of a type of its own: none can be handed over in another's place.
//! `F` is how one is held, see [`Passed`].

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

/// The file that compiled code is written into.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutputFd<F>(pub F);

/// The file in memory for code that the first takes no more of.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpillFd<F>(pub F);

/// Compiled code that nobody can change any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct CodeFd<F>(pub F);

/// The file that bounds a guest's memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct BoundFd<F>(pub F);

/// Where a guest says that it ended for want of memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct WantedFd<F>(pub F);

/// A process.
#[derive(Debug, Serialize, Deserialize)]
pub struct PidFd<F>(pub F);

/// A container's note, held while the container is made.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoteFd<F>(pub F);

/// The other side of a process's terminal.
#[derive(Debug, Serialize, Deserialize)]
pub struct TerminalFd<F>(pub F);

/// A sealed file with a [`Workload`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkloadFd<F>(pub F);

/// A sealed file with a [`Payload`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct PayloadFd<F>(pub F);

/// All that a guest's process needs to know of what it is to become.
#[derive(Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The container, and the process in it.
    pub workload: Workload,
    /// What the guest is given.
    pub guest: Guest,
    /// The engine that its code is of.
    pub engine: String,
}

/// Beside compiled code: what it was made of, and by whom.
#[derive(Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// The module.
    pub outline: Outline,
    /// The engine that was chosen for it.
    pub engine: String,
}

/// Where standard input comes from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stdin<F>(pub F);

/// Where standard output goes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stdout<F>(pub F);

/// Where standard error goes.
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

/// What a logger reads from, and where it says that it does.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoggerPipes<F> {
    /// Its descriptor 3: what the process writes to standard output.
    pub stdout: Stdout<F>,
    /// Its descriptor 4: what the process writes to standard error.
    pub stderr: Stderr<F>,
    /// Its descriptor 5, which it closes when it is ready.
    pub ready: ReadyFd<F>,
}

/// A pipe that is closed, or written to, by who is ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadyFd<F>(pub F);

/// What a guest's process is given beside its streams.
#[derive(Debug, Serialize, Deserialize)]
pub struct GuestFiles<F> {
    /// What it runs.
    pub code: CodeFd<F>,
    /// How much memory it may have.
    pub bound: BoundFd<F>,
    /// Where it says that it wanted more.
    pub wanted: WantedFd<F>,
}

/// How a process comes into its cgroup.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entrance<F> {
    /// It is born in this folder.
    Birth(F),
    /// It moves itself, by these files.
    Doors(Vec<F>),
    /// It is moved from outside, when it is there.
    Outside,
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
            wanted: WantedFd(to("the event for want of memory", self.wanted.0)?),
        })
    }
}

impl<F> Passed<F> for Entrance<F> {
    type With<G> = Entrance<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Entrance<G>> {
        Ok(match self {
            Self::Birth(folder) => Entrance::Birth(to("its cgroup", folder)?),
            Self::Doors(doors) => {
                let doors = doors.into_iter().map(|door| to("a file of its cgroup", door));
                Entrance::Doors(doors.collect::<Result<_>>()?)
            }
            Self::Outside => Entrance::Outside,
        })
    }
}

impl<'a> Entrance<BorrowedFd<'a>> {
    /// As the cgroup says it.
    ///
    /// # Errors
    /// When that hands over none for a way that needs one.
    pub fn of(entry: &'a Entry) -> Result<Self> {
        Ok(match (entry.mode, entry.fds.as_slice()) {
            (EntryMode::CloneInto, [folder]) => Self::Birth(folder.as_fd()),
            (EntryMode::SelfMove(_), doors) => Self::Doors(doors.iter().map(AsFd::as_fd).collect()),
            (EntryMode::FromOutside, _) => Self::Outside,
            (EntryMode::CloneInto, _) => bail!("there is no folder to be born in"),
        })
    }
}

impl Entrance<OwnedFd> {
    /// The folder to be born in.
    pub fn birth(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Birth(folder) => Some(folder.as_fd()),
            Self::Doors(_) | Self::Outside => None,
        }
    }
}

impl<F> From<[F; 3]> for Stdio<F> {
    fn from([stdin, stdout, stderr]: [F; 3]) -> Self {
        Self { stdin: Stdin(stdin), stdout: Stdout(stdout), stderr: Stderr(stderr) }
    }
}

impl<F> Stdio<F> {
    /// As their numbers order them.
    pub fn in_order(self) -> [F; 3] {
        [self.stdin.0, self.stdout.0, self.stderr.0]
    }
}

impl<F: AsFd> Stdio<F> {
    /// To be sent.
    pub fn borrowed(&self) -> Stdio<BorrowedFd<'_>> {
        Stdio {
            stdin: Stdin(self.stdin.0.as_fd()),
            stdout: Stdout(self.stdout.0.as_fd()),
            stderr: Stderr(self.stderr.0.as_fd()),
        }
    }
}

impl<F: AsFd> CodeFd<F> {
    /// To be sent.
    pub fn borrowed(&self) -> CodeFd<BorrowedFd<'_>> {
        CodeFd(self.0.as_fd())
    }
}

impl<F: AsFd> BoundFd<F> {
    /// To be sent.
    pub fn borrowed(&self) -> BoundFd<BorrowedFd<'_>> {
        BoundFd(self.0.as_fd())
    }
}

impl<F: AsFd> NoteFd<F> {
    /// To be sent.
    pub fn borrowed(&self) -> NoteFd<BorrowedFd<'_>> {
        NoteFd(self.0.as_fd())
    }
}

impl WorkloadFd<File> {
    /// Writes it.
    ///
    /// # Errors
    /// When memory or descriptors run out.
    pub fn of(workload: &Workload) -> io::Result<Self> {
        sealed_json("workload", workload).map(Self)
    }

    /// To be sent.
    pub fn borrowed(&self) -> WorkloadFd<BorrowedFd<'_>> {
        WorkloadFd(self.0.as_fd())
    }
}

impl WorkloadFd<OwnedFd> {
    /// Reads it back.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn read(self) -> io::Result<Workload> {
        read(self.0)
    }
}

impl PayloadFd<File> {
    /// Writes it.
    ///
    /// # Errors
    /// When memory or descriptors run out.
    pub fn of(payload: &Payload) -> io::Result<Self> {
        sealed_json("workload", payload).map(Self)
    }

    /// To be sent.
    pub fn borrowed(&self) -> PayloadFd<BorrowedFd<'_>> {
        PayloadFd(self.0.as_fd())
    }
}

impl PayloadFd<OwnedFd> {
    /// Reads it back.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn read(self) -> io::Result<Payload> {
        read(self.0)
    }
}

fn read<T: serde::de::DeserializeOwned>(fd: OwnedFd) -> io::Result<T> {
    Ok(serde_json::from_reader(io::BufReader::new(File::from(fd)))?)
}
