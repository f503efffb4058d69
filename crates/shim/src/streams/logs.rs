//! Output that goes into a file: carried there from the process's pipe, by the daemon's other threads, since a disk
//! may make them wait. A process that writes faster than the disk takes it waits at its pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use container::stdio::{Left, Log};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::apart::apart;
use crate::awaited::readable;
use crate::lock::lock;

/// How long the last output of an ended process may take to be written to all its logs, and how long a Delete waits for
/// processes that were left behind with the pipes.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// A log that is written. Dropped, it takes nothing more.
pub struct Carried {
    log: Arc<Mutex<Log>>,
    carrying: JoinHandle<()>,
}

impl Carried {
    /// Begins to carry the output of container `id`.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn begin(id: &str, log: Log) -> anyhow::Result<Self> {
        let pipe = || -> io::Result<_> { readable(log.as_fd().try_clone_to_owned()?) };
        let pipe = pipe().context("cannot wait for the output")?;
        let log = Arc::new(Mutex::new(log));
        let carrying = tokio::spawn(carry(id.to_owned(), pipe, Arc::clone(&log)));
        Ok(Self { log, carrying })
    }

    /// Waits until what was written to the pipe by now is in the file, until `latest`.
    pub fn settled(&self, id: &str, latest: Instant) -> impl Future<Output = ()> + use<> {
        let (id, turn) = (id.to_owned(), turn(&self.log));
        async move {
            match timeout_at(latest, turn).await {
                Ok(turned) => drop(told(&id, turned)),
                Err(_) => log::warn!("container {id}: its log takes longer than {} s", PATIENCE.as_secs()),
            }
        }
    }

    /// Waits until nobody can write to the pipe and all of it is in the file, until `latest`.
    pub async fn drained(mut self, latest: Instant) {
        if timeout_at(latest, &mut self.carrying).await.is_err() {
            log::debug!("a log was closed that a process left behind may still write to");
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(id: String, pipe: AsyncFd<OwnedFd>, log: Arc<Mutex<Log>>) {
    loop {
        let Ok(mut ready) = pipe.readable().await else { return };
        match told(&id, turn(&log).await) {
            Left::More => {}
            Left::Nothing => ready.clear_ready(),
            Left::End => return,
        }
    }
}

/// One turn of carrying, which begins at once.
fn turn(log: &Arc<Mutex<Log>>) -> impl Future<Output = anyhow::Result<(Left, io::Result<()>)>> + use<> {
    let log = Arc::clone(log);
    apart(move || Ok(lock(&log).carry()))
}

/// What is left after a turn; the daemon's log tells what went wrong in it.
fn told(id: &str, turned: anyhow::Result<(Left, io::Result<()>)>) -> Left {
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
