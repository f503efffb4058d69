//! Standard input: read when it is ready, watched by the event loop otherwise.

use std::future;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::cli::{self, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use super::{CHUNK, failed};
use crate::polled;

/// Standard input; clones share it.
#[derive(Clone, Default)]
pub struct Stdin(Arc<OnceLock<Source>>);

enum Source {
    /// A pipe, a terminal or a socket, watched by epoll.
    Polled(AsyncFd<BorrowedFd<'static>>),
    /// A regular file or /dev/null, which epoll refuses: always ready.
    Ready,
}

impl Stdin {
    /// Set up on first use, which is inside the event loop.
    fn source(&self) -> &Source {
        self.0.get_or_init(|| polled::stdin().map_or(Source::Ready, Source::Polled))
    }

    /// Whether a read would not block: it returns bytes, EOF or an error.
    fn would_return(&self) -> bool {
        match self.source() {
            Source::Ready => true,
            Source::Polled(_) => is_ready(rustix::stdio::stdin()),
        }
    }

    fn poll_ready(&self, task: &mut Context<'_>) -> Poll<()> {
        while !self.would_return() {
            let Source::Polled(polled) = self.source() else { break };
            match ready!(polled.poll_read_ready(task)) {
                // `poll` contradicts epoll's older state.
                Ok(mut guard) if !self.would_return() => guard.clear_ready(),
                Ok(_) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

/// Reads once; retries only on EINTR.
fn read_once(buffer: &mut [u8]) -> io::Result<usize> {
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
        match read_once(&mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(length) => Ok(buffer.split_to(length).freeze()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(task));
        let length = read_once(buffer.initialize_unfilled())?;
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// Whether `descriptor` is readable; true when `poll` fails, so that the read reports the error.
fn is_ready(descriptor: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut descriptors, Some(&Timespec::default())) != Ok(0)
}
