//! Standard input, output and error, from the paths containerd names.
//!
//! Fifos go straight into the container. The daemon only holds them open, as runc's shim does, so that a restart of
//! containerd breaks no pipe; it closes them when the process has ended, and the readers see EOF. Standard input
//! reaches EOF after a CloseIO, once the clients have closed it.
//!
//! Files never go into the container, which could truncate them. The container writes into a pipe of its own, and the
//! daemon appends what it reads from there ([`Log`]).

mod log;
mod logger;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::pipe::PipeFlags;

pub use self::log::{Left, Log};
pub use self::logger::Logger;
use crate::sealed;

/// The paths in containerd's request: each a path, a URI, or empty for none.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Where standard input comes from.
    pub stdin: String,
    /// Where standard output goes.
    pub stdout: String,
    /// Where standard error goes.
    pub stderr: String,
}

/// The opened descriptors of one process.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input, output and error of the process itself.
    pub process: [OwnedFd; 3],
    /// What the daemon keeps until the process has ended.
    pub hold: Hold,
    /// The outputs that the daemon copies into files.
    pub logs: Vec<Log>,
    /// The program that reads the output, if the paths name one. It is not started yet.
    pub logger: Option<Logger>,
}

/// The owner of the fifos, so that the process can reopen them by `/dev/stdout`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner {
    /// User id on the host.
    pub uid: u32,
    /// Group id; 0 keeps the one they have.
    pub gid: u32,
}

/// Fifos held open at both ends, so that neither side sees the other one close.
#[derive(Debug, Default)]
pub struct Hold {
    stdin: Option<OwnedFd>,
    outputs: Vec<OwnedFd>,
}

impl Hold {
    /// Closes standard input: the process reads EOF once the client has closed it, too.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }
}

/// The output of an ended process, kept until it has a reader: clients open their ends late, and what was written to
/// a fifo is lost when no process has it open.
#[derive(Debug)]
pub struct Unread(Vec<OwnedFd>);

impl Hold {
    /// Closes everything but the output that was written.
    pub fn let_go(self) -> Unread {
        let again = |both: &OwnedFd| open_path(&open_again(both), OFlags::WRONLY).ok();
        Unread(self.outputs.iter().filter_map(again).collect())
    }
}

impl Unread {
    /// Whether each of the fifos has a reader, so that it can be closed.
    pub fn has_readers(&self) -> bool {
        self.0.iter().all(has_reader)
    }

    /// The number of unread bytes in each of the fifos; 0 for one without a reader.
    pub fn bytes(&self) -> Vec<u64> {
        let unread = |fifo| if has_reader(fifo) { rustix::io::ioctl_fionread(fifo).unwrap_or(0) } else { 0 };
        self.0.iter().map(unread).collect()
    }
}

fn has_reader(fifo: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(fifo, PollFlags::OUT)];
    // Without a reader, poll reports POLLERR.
    poll(&mut polled, Some(&Timespec::default())).is_err() || !polled[0].revents().contains(PollFlags::ERR)
}

fn open_again(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// Write ends of the fifos among the outputs, each opened once it has a reader. Must be kept until [`open`] has
/// opened them all: a reader sees EOF when its last writer closes.
#[derive(Debug)]
pub struct Writers {
    unread: Vec<PathBuf>,
    open: Vec<OwnedFd>,
}

impl Writers {
    /// Those of `paths`; none is opened yet.
    pub fn of(paths: &Paths) -> Self {
        let fifos = [&paths.stdout, &paths.stderr].into_iter().filter_map(|uri| fifo(uri));
        Self { unread: fifos.collect(), open: Vec::new() }
    }

    /// Whether each fifo has a reader by now, or had one.
    pub fn all_are_read(&mut self) -> bool {
        self.unread.retain(|path| match open_path(path, OFlags::WRONLY | OFlags::NONBLOCK) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => true,
            // `open` reports any other error.
            opened => {
                self.open.extend(opened);
                false
            }
        });
        self.unread.is_empty()
    }
}

/// The path, if there is a fifo.
fn fifo(uri: &str) -> Option<PathBuf> {
    let path = PathBuf::from(uri.strip_prefix("fifo://").unwrap_or(uri));
    path.metadata().is_ok_and(|found| found.file_type().is_fifo()).then_some(path)
}

/// Opens all three for a process.
///
/// # Errors
/// Names the path that is missing, or a scheme that is not known.
pub fn open(paths: &Paths, owner: Owner) -> anyhow::Result<Stdio> {
    let mut hold = Hold::default();
    let input = |uri: &str| match target(uri)? {
        Target::File(path) => Ok((open_to_read(&path).with_context(|| path.display().to_string())?, None)),
        Target::Path(path) => open_one(&path, OFlags::RDONLY, owner),
    };
    let (stdin, held) = input(&paths.stdin).context("cannot open standard input")?;
    hold.stdin = held;
    if let Some(("binary", program)) = paths.stdout.split_once("://") {
        let ((read_out, stdout), (read_err, stderr)) = (pipe(owner)?, pipe(owner)?);
        let logger = Logger::of(program, [read_out, read_err]);
        return Ok(Stdio { process: [stdin, stdout, stderr], hold, logs: Vec::new(), logger: Some(logger) });
    }
    let mut logs = Vec::new();
    let mut output = |uri: &str| match target(uri)? {
        Target::File(path) => {
            let (read, write) = pipe(owner)?;
            logs.push(Log::create(&path, read).with_context(|| path.display().to_string())?);
            anyhow::Ok(write)
        }
        Target::Path(path) => {
            let (end, held) = open_one(&path, OFlags::WRONLY, owner)?;
            hold.outputs.extend(held);
            Ok(end)
        }
    };
    let stdout = output(&paths.stdout).context("cannot open standard output")?;
    let stderr = output(&paths.stderr).context("cannot open standard error")?;
    Ok(Stdio { process: [stdin, stdout, stderr], hold, logs, logger: None })
}

/// Where a stream goes.
enum Target {
    /// An existing fifo or device.
    Path(PathBuf),
    /// A file; an output's is created where it is missing.
    File(PathBuf),
}

fn target(uri: &str) -> anyhow::Result<Target> {
    let path = match uri.split_once("://") {
        None if uri.is_empty() => "/dev/null",
        None => uri,
        Some(("fifo", path)) => path,
        Some(("file", path)) => {
            // Opening it as a file would block until its other end is open.
            let is_fifo = Path::new(path).metadata().is_ok_and(|found| found.file_type().is_fifo());
            ensure!(!is_fifo, "{uri}: it is a fifo; name it by its path, or by fifo://");
            return Ok(Target::File(path.into()));
        }
        Some((scheme, _)) => {
            bail!("{uri}: this shim writes to paths, fifo://, file:// and binary://, not to {scheme}://")
        }
    };
    let is_file = Path::new(path).metadata().with_context(|| path.to_owned())?.is_file();
    Ok(if is_file { Target::File(path.into()) } else { Target::Path(path.into()) })
}

/// The descriptor for the process and, for a fifo, one for the daemon.
fn open_one(path: &Path, direction: OFlags, owner: Owner) -> anyhow::Result<(OwnedFd, Option<OwnedFd>)> {
    let kind = path.metadata().with_context(|| path.display().to_string())?.file_type();
    if !kind.is_fifo() {
        return Ok((open_named(path, direction)?, None));
    }
    // Both directions first: then there are a reader and a writer, and opening one end does not block.
    let hold = open_named(path, OFlags::RDWR)?;
    let end = open_named(path, direction)?;
    give(&end, owner).with_context(|| path.display().to_string())?;
    Ok((end, Some(hold)))
}

fn open_named(path: &Path, direction: OFlags) -> anyhow::Result<OwnedFd> {
    open_path(path, direction).with_context(|| path.display().to_string())
}

/// Opens a file for input by way of a read-only mount, so that reopening it through `/proc/self/fd` cannot write to it.
fn open_to_read(path: &Path) -> anyhow::Result<OwnedFd> {
    let file = sealed::open(path)?;
    Ok(open_path(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref(), OFlags::RDONLY)?)
}

/// A pipe: its read end, for a logger or the daemon, and its write end, for the process.
fn pipe(owner: Owner) -> anyhow::Result<(OwnedFd, OwnedFd)> {
    let (read, write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe for the output")?;
    give(&write, owner).context("cannot make a pipe for the output")?;
    Ok((read, write))
}

fn give(fd: &OwnedFd, Owner { uid, gid }: Owner) -> io::Result<()> {
    let (uid, gid) = (Some(uid).filter(|uid| *uid != 0), Some(gid).filter(|gid| *gid != 0));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    Ok(rustix::fs::fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?)
}

fn open_path(path: &Path, direction: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, direction | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn a_reader_sees_the_end_when_process_and_daemon_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdout: path.display().to_string(), ..Paths::default() };
        let Stdio { process: [_, stdout, _], hold, .. } = open(&paths, Owner::default()).unwrap();
        let mut reader = File::open(&path).unwrap();
        File::from(stdout).write_all(b"hello").unwrap();
        drop(hold);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn output_is_kept_for_a_reader_who_comes_late() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdout: path.display().to_string(), ..Paths::default() };
        let Stdio { process: [_, stdout, _], hold, .. } = open(&paths, Owner::default()).unwrap();
        File::from(stdout).write_all(b"hello").unwrap();
        let unread = hold.let_go();
        assert!(!unread.has_readers());
        let mut reader = File::open(&path).unwrap();
        assert!(unread.has_readers());
        drop(unread);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_reader_counts_from_when_it_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdout: path.display().to_string(), ..Paths::default() };
        let mut writers = Writers::of(&paths);
        assert!(!writers.all_are_read());
        let reader = open_path(&path, OFlags::RDONLY | OFlags::NONBLOCK).unwrap();
        assert!(writers.all_are_read());
        drop(reader);
        assert!(writers.all_are_read() && !Writers::of(&paths).all_are_read());
        assert!(Writers::of(&Paths::default()).all_are_read());
    }

    #[test]
    fn input_ends_when_client_and_daemon_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdin: path.display().to_string(), ..Paths::default() };
        let Stdio { process: [stdin, ..], mut hold, .. } = open(&paths, Owner::default()).unwrap();
        File::options().write(true).open(&path).unwrap().write_all(b"line").unwrap();
        hold.close_stdin();
        let mut text = String::new();
        File::from(stdin).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
    }

    /// However a log is named, the process does not hold its file, and no line is lost or truncated.
    #[test]
    fn a_log_is_out_of_the_process_s_reach() {
        let dir = tempfile::tempdir().unwrap();
        let (made, there) = (dir.path().join("made/log"), dir.path().join("there"));
        std::fs::write(&there, "earlier\n").unwrap();
        let paths = Paths {
            stdout: format!("file://{}", made.display()),
            stderr: there.display().to_string(),
            ..Paths::default()
        };
        let Stdio { process: [_, stdout, stderr], mut logs, .. } = open(&paths, Owner::default()).unwrap();
        for output in [&stdout, &stderr] {
            assert!(rustix::fs::ftruncate(output, 0).is_err(), "it holds the log itself");
            File::from(output.try_clone().unwrap()).write_all(b"line\n").unwrap();
        }
        let mut carry = || -> Vec<Left> {
            let carried = logs.iter_mut().map(Log::carry);
            carried.map(|(left, lost)| lost.map(|()| left).unwrap()).collect()
        };
        assert_eq!(carry(), [Left::Nothing; 2]);
        assert_eq!(std::fs::read_to_string(&made).unwrap(), "line\n");
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "earlier\nline\n");
        drop((stdout, stderr));
        assert_eq!(carry(), [Left::End; 2]);
    }

    /// A process cannot write to the file that it reads, and a fifo named as a file is refused instead of blocking.
    #[test]
    fn a_file_that_is_read_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
        std::fs::write(&file, "lines").unwrap();
        let paths = Paths { stdin: file.display().to_string(), ..Paths::default() };
        let Stdio { process: [stdin, ..], .. } = open(&paths, Owner::default()).unwrap();
        let again = File::options().write(true).open(format!("/proc/self/fd/{}", stdin.as_raw_fd()));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(std::io::read_to_string(File::from(stdin)).unwrap(), "lines");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let uri = format!("file://{}", fifo.display());
        let reads = Paths { stdin: uri.clone(), ..Paths::default() };
        let writes = Paths { stdout: uri, ..Paths::default() };
        for paths in [reads, writes] {
            let error = format!("{:#}", open(&paths, Owner::default()).unwrap_err());
            assert!(error.contains("it is a fifo") && error.contains("cannot open standard"), "{error}");
        }
    }

    #[test]
    fn a_missing_path_is_an_error_that_names_it() {
        let paths = Paths { stderr: "/nowhere/at/all".into(), ..Paths::default() };
        let error = format!("{:#}", open(&paths, Owner::default()).unwrap_err());
        assert!(error.contains("standard error: /nowhere/at/all"), "{error}");
        let paths = Paths { stdout: "http://logger".into(), ..Paths::default() };
        assert!(format!("{:#}", open(&paths, Owner::default()).unwrap_err()).contains("not to http://"));
    }
}
