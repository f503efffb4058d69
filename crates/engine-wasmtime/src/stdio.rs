//! The process's own standard streams, given to the guest without a buffer and without a thread.
//!
//! The descriptors may share their open file description with others (a terminal is one for all
//! three), so nothing here changes their flags: a stream is asked for readiness before each read.

use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::{future, mem};

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{self, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::polled;

/// The most that one read or write is asked to carry.
const CHUNK: usize = 64 * 1024;

/// Standard input, for any number of readers that share it.
#[derive(Clone, Default)]
pub struct Stdin(Arc<OnceLock<Source>>);

/// Where input comes from.
enum Source {
    /// A pipe, a terminal or a socket: epoll tells when to read.
    Polled(AsyncFd<BorrowedFd<'static>>),
    /// A regular file or /dev/null, which epoll refuses: always ready.
    Ready,
}

impl Stdin {
    /// Looked at on first use, which is inside the event loop.
    fn source(&self) -> &Source {
        self.0.get_or_init(|| polled::stdin().map_or(Source::Ready, Source::Polled))
    }

    /// Whether a read would return at once: with bytes, the end or an error.
    fn would_return(&self) -> bool {
        match self.source() {
            Source::Ready => true,
            Source::Polled(_) => is_ready(rustix::stdio::stdin(), PollFlags::IN, Some(&Timespec::default())),
        }
    }

    fn poll_ready(&self, task: &mut Context<'_>) -> Poll<()> {
        while !self.would_return() {
            let Source::Polled(polled) = self.source() else { break };
            match ready!(polled.poll_read_ready(task)) {
                // What epoll remembers is older than what poll just said.
                Ok(mut guard) if !self.would_return() => guard.clear_ready(),
                Ok(_) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

/// Reads once; retried only when a signal came first.
fn read(buffer: &mut [u8]) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut *buffer)).map_err(Into::into)
}

impl cli::IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        rustix::stdio::stdin().is_terminal()
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        future::poll_fn(|task| self.poll_ready(task)).await;
    }
}

impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 || !self.would_return() {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(CHUNK));
        match read(&mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(length) => Ok(buffer.split_to(length).freeze()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(task));
        let length = read(buffer.initialize_unfilled())?;
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// Standard output or error.
#[derive(Clone)]
pub struct Output(BorrowedFd<'static>);

impl Output {
    /// Descriptor 1.
    pub fn stdout() -> Self {
        Self(rustix::stdio::stdout())
    }

    /// Descriptor 2.
    pub fn stderr() -> Self {
        Self(rustix::stdio::stderr())
    }

    /// Writes all of it, waiting as a native program would where the reader is slow.
    fn put(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(self.0, bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::INTR) => {}
                // Somebody else with the same description made it non-blocking.
                Err(Errno::AGAIN) => mem::drop(is_ready(self.0, PollFlags::OUT, None)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl cli::IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.put(&bytes).map_err(failed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Waits up to `time` for the descriptor; a descriptor that cannot be asked is ready to fail.
fn is_ready(descriptor: BorrowedFd<'_>, events: PollFlags, time: Option<&Timespec>) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, events)];
    poll(&mut descriptors, time) != Ok(0)
}

/// Guests get the errno back from the `io::Error`.
fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
