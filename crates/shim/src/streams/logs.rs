//! Copies output from a process's pipe to a log file, on the threads for blocking work, since a disk may block. A
//! process that writes faster than the disk blocks on its pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use container::stdio::{Left, Log};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::awaited::readable;
use crate::blocking::blocking;
use crate::lock::lock;

/// How long writing the last output of an ended process to its logs may take, and how long a Delete waits for processes
/// that were left behind with the pipes open.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// A log that is being written. Dropping it stops that.
pub struct LogCopier {
    log: Arc<Mutex<Log>>,
    copying: JoinHandle<()>,
}

impl LogCopier {
    /// Starts to copy the output of container `id`.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn begin(id: &str, log: Log) -> anyhow::Result<Self> {
        let pipe = || -> io::Result<_> { readable(log.as_fd().try_clone_to_owned()?) };
        let pipe = pipe().context("cannot wait for the output")?;
        let log = Arc::new(Mutex::new(log));
        let copying = tokio::spawn(carry(id.to_owned(), pipe, Arc::clone(&log)));
        Ok(Self { log, copying })
    }

    /// Waits until what is in the pipe now is in the file, until `latest` at most.
    pub fn settled(&self, id: &str, latest: Instant) -> impl Future<Output = ()> + use<> {
        let (id, turn) = (id.to_owned(), turn(&self.log));
        async move {
            match timeout_at(latest, turn).await {
                Ok(turned) => drop(log_failure(&id, turned)),
                Err(_) => log::warn!("container {id}: its log takes longer than {} s", PATIENCE.as_secs()),
            }
        }
    }

    /// Waits until the pipe has no writers and all of it is in the file, until `latest` at most.
    pub async fn drained(mut self, latest: Instant) {
        if timeout_at(latest, &mut self.copying).await.is_err() {
            log::debug!("a log was closed that a process left behind may still write to");
        }
    }
}

impl Drop for LogCopier {
    fn drop(&mut self) {
        self.copying.abort();
    }
}

async fn carry(id: String, pipe: AsyncFd<OwnedFd>, log: Arc<Mutex<Log>>) {
    loop {
        let Ok(mut ready) = pipe.readable().await else { return };
        match log_failure(&id, turn(&log).await) {
            Left::More => {}
            Left::Nothing => ready.clear_ready(),
            Left::End => return,
        }
    }
}

/// Starts to copy what is in the pipe.
fn turn(log: &Arc<Mutex<Log>>) -> impl Future<Output = anyhow::Result<(Left, io::Result<()>)>> + use<> {
    let log = Arc::clone(log);
    blocking(move || Ok(lock(&log).carry()))
}

/// Logs what went wrong in a turn, and returns what is left to copy.
fn log_failure(id: &str, turned: anyhow::Result<(Left, io::Result<()>)>) -> Left {
    match turned {
        Ok((left, Ok(()))) => left,
        Ok((left, Err(error))) => {
            log::warn!("container {id}: its output is lost, its log cannot be written: {error}");
            left
        }
        Err(error) => {
            log::error!("container {id}: its log is not written any more: {error:#}");
            Left::End
        }
    }
}
