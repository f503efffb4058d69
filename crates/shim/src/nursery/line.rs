//! The daemon's end of the channel to a process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{Context, Error, anyhow, bail};
use container::channel::Channel;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::awaited;
use crate::payload::{Passed, Report, Slot, received, send};

/// A channel to another process, for use with tokio.
pub struct Line(AsyncFd<Channel>);

impl Line {
    /// Registers the channel with the runtime.
    ///
    /// # Errors
    /// When it cannot be polled.
    pub fn new(channel: Channel) -> io::Result<Self> {
        channel.set_nonblocking()?;
        Ok(Self(awaited::readable(channel)?))
    }

    /// Sends one message. It fits into the socket's buffer, so this does not block.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn send<'a, M>(&self, message: M) -> io::Result<()>
    where
        M: Passed<BorrowedFd<'a>>,
        M::With<Slot>: Serialize,
    {
        send(self.0.get_ref(), message)
    }

    /// Waits for the next report; `None` when the process ended without one.
    ///
    /// # Errors
    /// The error of a [`Report::Failed`]; when a descriptor is missing.
    pub async fn report(&self) -> anyhow::Result<Option<Report<OwnedFd>>> {
        match self.receive::<Report>().await {
            Ok(report) => or_failure(report?).map(Some),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error).context("cannot hear from a child"),
        }
    }

    /// The report that has arrived already, if any.
    ///
    /// # Errors
    /// See [`Line::report`].
    pub fn reported(&self) -> anyhow::Result<Option<Report<OwnedFd>>> {
        match self.0.get_ref().receive::<Report>() {
            Ok(Some((report, fds))) => or_failure(received(report, fds)?).map(Some),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    /// Waits for the next report, which `is_it` must accept.
    ///
    /// # Errors
    /// See [`Line::report`]; when another report comes, or none.
    pub async fn expect(&self, is_it: impl Fn(&Report<OwnedFd>) -> bool) -> anyhow::Result<()> {
        match self.report().await? {
            Some(report) if is_it(&report) => Ok(()),
            other => Err(out_of_turn(other)),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// `UnexpectedEof` when the process is gone; the inner error names a missing descriptor.
    pub async fn receive<M: Passed<Slot> + DeserializeOwned>(
        &self,
    ) -> io::Result<anyhow::Result<M::With<OwnedFd>>> {
        let came = self.0.async_io(Interest::READABLE, Channel::receive::<M>).await?;
        let (message, fds) = came.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(received(message, fds))
    }
}

fn or_failure(report: Report<OwnedFd>) -> anyhow::Result<Report<OwnedFd>> {
    match report {
        Report::Failed(sentence) => bail!(sentence),
        other => Ok(other),
    }
}

/// The error of an unexpected report, or of none.
pub fn out_of_turn(report: Option<Report<OwnedFd>>) -> Error {
    match report {
        Some(other) => anyhow!("the container's process said {other:?} out of turn"),
        None => {
            anyhow!(
                "the container's process ended before its guest ran; was it killed, as by a seccomp profile, or out \
                 of memory, as by its limit or RLIMIT_DATA?"
            )
        }
    }
}
