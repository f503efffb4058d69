//! A terminal's traffic between a container's process and its client's fifos.
//!
//! Bounded: nothing is read that was not written on, so a slow reader slows the process and nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use container::terminal;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::awaited::{awaited, readable};

/// As much as a terminal holds.
const CHUNK: usize = 4096;
/// How long output that nobody reads may keep a Delete waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// The daemon's side of a terminal. Dropped, the terminal is gone: its processes hear SIGHUP.
pub struct Console {
    terminal: Arc<AsyncFd<OwnedFd>>,
    input: JoinHandle<()>,
    output: JoinHandle<()>,
}

impl Console {
    /// Begins to carry: `stdin` to the terminal, the terminal to `stdout`.
    ///
    /// # Errors
    /// When one of them cannot be awaited.
    pub fn carry(terminal: OwnedFd, stdin: OwnedFd, stdout: OwnedFd) -> anyhow::Result<Self> {
        let carried = || -> io::Result<_> {
            for fd in [&terminal, &stdin, &stdout] {
                fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
            }
            let terminal = Arc::new(awaited(terminal, Interest::READABLE | Interest::WRITABLE)?);
            let input = tokio::spawn(type_in(stdin, Arc::clone(&terminal)));
            let output = tokio::spawn(print_out(Arc::clone(&terminal), Sink::new(stdout)));
            Ok(Self { terminal, input, output })
        };
        carried().context("cannot carry the terminal's traffic")
    }

    /// Gives the window another size, in characters.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn resize(&self, columns: u32, rows: u32) -> io::Result<()> {
        let side = |length| u16::try_from(length).unwrap_or(u16::MAX);
        terminal::resize(self.terminal.get_ref(), side(columns), side(rows))
    }

    /// Waits until the last output is written, within reason: a process left behind may hold the terminal.
    pub async fn drained(mut self) {
        if tokio::time::timeout(PATIENCE, &mut self.output).await.is_err() {
            log::debug!("a terminal was closed with output that nobody read");
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.input.abort();
        self.output.abort();
    }
}

/// Ends with the input, or with the terminal.
async fn type_in(stdin: OwnedFd, terminal: Arc<AsyncFd<OwnedFd>>) {
    // Not /dev/null, which epoll does not know and which has nothing to say.
    let Ok(stdin) = readable(stdin) else { return };
    let mut buffer = [0; CHUNK];
    loop {
        let read = stdin.async_io(Interest::READABLE, |fd| read_some(fd, &mut buffer)).await;
        let Ok(length @ 1..) = read else { return };
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let written = terminal.async_io(Interest::WRITABLE, |fd| write_some(fd, rest)).await;
            let Ok(length) = written else { return };
            rest = &rest[length..];
        }
    }
}

/// Ends when no process has the terminal open any more, which reads as an error. The kernel may find that nobody has
/// between two looks at what was written, of which the last is missing then: only a second error in a row is the end.
async fn print_out(terminal: Arc<AsyncFd<OwnedFd>>, mut to: Sink) {
    let mut buffer = [0; CHUNK];
    let mut closed = false;
    loop {
        let read = terminal.async_io(Interest::READABLE, |fd| read_some(fd, &mut buffer)).await;
        let length = match read {
            Ok(length @ 1..) => length,
            Err(_) if !closed => {
                closed = true;
                continue;
            }
            Ok(_) | Err(_) => return,
        };
        closed = false;
        if let Err(error) = to.write_all(&buffer[..length]).await {
            return log::warn!("a terminal's output cannot be written any more: {error}");
        }
    }
}

/// Where output goes.
enum Sink {
    /// A fifo or a pipe.
    Awaited(AsyncFd<OwnedFd>),
    /// A file, which always takes what it is given.
    File(std::fs::File),
}

impl Sink {
    fn new(fd: OwnedFd) -> Self {
        match fd.try_clone().and_then(|twin| awaited(twin, Interest::WRITABLE)) {
            Ok(awaited) => Self::Awaited(awaited),
            Err(_) => Self::File(fd.into()),
        }
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => io::Write::write_all(file, bytes),
            Self::Awaited(fd) => {
                while !bytes.is_empty() {
                    let length = fd.async_io(Interest::WRITABLE, |fd| write_some(fd, bytes)).await?;
                    bytes = &bytes[length..];
                }
                Ok(())
            }
        }
    }
}

fn read_some(fd: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?)
}

fn write_some(fd: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?)
}
