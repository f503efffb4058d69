//! Copies a terminal's traffic between a container's process and its client's fifos.
//!
//! Bounded: the next chunk is read only after the last was written, so a slow reader only slows down the process.

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

/// The size of a terminal's buffer, in bytes.
const CHUNK: usize = 4096;
/// How long unread output may delay a Delete.
const PATIENCE: Duration = Duration::from_secs(2);

/// The daemon's side of a terminal. Dropping it hangs the terminal up: its processes receive SIGHUP.
pub struct Console {
    terminal: Arc<AsyncFd<OwnedFd>>,
    input: JoinHandle<()>,
    output: JoinHandle<()>,
}

impl Console {
    /// Starts to copy: `stdin` to the terminal, the terminal to `stdout`.
    ///
    /// # Errors
    /// When one of them cannot be polled.
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

    /// Sets the size of the window, in characters.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize(&self, columns: u32, rows: u32) -> io::Result<()> {
        let side = |length| u16::try_from(length).unwrap_or(u16::MAX);
        terminal::resize(self.terminal.get_ref(), side(columns), side(rows))
    }

    /// Waits until the last output is written, for a limited time: a process left behind may hold the terminal open.
    pub async fn drained(mut self) {
        if tokio::time::timeout(PATIENCE, &mut self.output).await.is_err() {
            log::debug!("a terminal was closed with unread output");
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.input.abort();
        self.output.abort();
    }
}

/// Copies standard input to the terminal, until EOF or until the terminal is closed.
async fn type_in(stdin: OwnedFd, terminal: Arc<AsyncFd<OwnedFd>>) {
    // Fails for /dev/null, which epoll does not support and which has no input.
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

/// Copies the terminal to standard output, until no process has it open, which reads as an error. The kernel may return
/// that error while the last output is still in the buffer, so only the second error in a row is the end.
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

/// The destination of a terminal's output.
enum Sink {
    /// A fifo or a pipe.
    Awaited(AsyncFd<OwnedFd>),
    /// A file, which is always writable.
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
