//! The daemon's side of the nursery: it sends requests, and the new processes become the daemon's children.

mod births;
mod errands;
mod gate;
mod inheritance;
mod line;
mod serve;

use std::collections::HashSet;
use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::PoisonError;

use anyhow::{Context, Error, bail};
use container::bare;
use container::birth::{self, Born};
use container::channel::Channel;
use container::process;
use rustix::process::Pid;
use thiserror::Error;
use tokio::sync::{Mutex, OnceCell};
use workload::Outline;

pub use gate::Gate;
pub use line::Line;

use crate::awaited;
use crate::blocking::blocking;
use crate::payload::{Birth, HostFd, LineFd, NurseryReply, NurseryRequest, PidFd, Report};

/// The forked process that gives birth to all others. Dropping this ends it.
pub struct Nursery {
    pid: i32,
    line: Mutex<Line>,
    /// Its first message: the fingerprint of its engines, or the error of setting them up.
    greeting: OnceCell<Result<String, String>>,
    /// The daemon's mount namespace, for new processes that work on the host's files.
    host: File,
    /// The children that a task waits for. All others are reaped when they are found.
    awaited: std::sync::Mutex<HashSet<i32>>,
}

/// The nursery's process, before the daemon's runtime exists.
pub struct Forked(Channel, Pid);

/// Forks the nursery, which removes the pod's `socket` if the daemon exits without removing it. Must be called while
/// the process has one thread.
///
/// # Errors
/// When the process cannot be forked.
pub fn fork(socket: &Path) -> anyhow::Result<Forked> {
    let (ours, theirs) = Channel::pair().context("cannot make the nursery's channel")?;
    match birth::child().context("cannot fork the nursery")? {
        Some(pid) => Ok(Forked(ours, pid)),
        None => {
            // No new process may hold a descriptor of the daemon, such as the pod's socket or the log.
            birth::close_all_but(&[theirs.as_raw_fd()]);
            serve::serve(theirs, socket)
        }
    }
}

/// A process ended without a report: it was killed, or it aborted.
#[derive(Debug, Error)]
#[error("the process that did it ended with status {status} and said nothing")]
pub struct Silent {
    /// Its exit code, or 128 plus the signal that ended it.
    pub status: u32,
}

impl Nursery {
    /// Takes over the forked process, inside the runtime.
    ///
    /// # Errors
    /// When the channel cannot be polled, or `/proc` is not accessible.
    pub fn adopt(Forked(channel, pid): Forked) -> io::Result<Self> {
        Ok(Self {
            pid: pid.as_raw_nonzero().get(),
            line: Mutex::new(Line::new(channel)?),
            greeting: OnceCell::new(),
            host: bare::host()?,
            awaited: std::sync::Mutex::default(),
        })
    }

    /// Spawns a process and returns it with a line to it.
    ///
    /// # Errors
    /// The nursery's error, or that it is gone.
    pub async fn birth(&self, request: NurseryRequest<BorrowedFd<'_>>) -> anyhow::Result<(Born, Line)> {
        const GONE: &str = "the nursery is gone; the pod must be restarted";
        let (ours, theirs) = Channel::pair().context("cannot make a channel")?;
        let host = request.is_of_host().then(|| HostFd(self.host.as_fd()));
        let birth = Birth { line: LineFd(theirs.as_fd()), host, request };
        let nursery = self.line.lock().await;
        self.greeted(&nursery).await?;
        nursery.send(birth).context(GONE)?;
        match nursery.receive::<NurseryReply>().await.context(GONE)?? {
            NurseryReply::Born(pid, PidFd(pidfd)) => {
                // Before the lock is released: see `errand_until`.
                self.await_end_of(pid);
                Ok((Born { pid, pidfd }, Line::new(ours)?))
            }
            NurseryReply::Failed(sentence) => bail!(sentence),
            NurseryReply::Ready(_) => bail!("the nursery says that it is ready, out of turn"),
        }
    }

    /// The fingerprint of the engines, for the keys of compiled code.
    ///
    /// # Errors
    /// Why no engine could be set up.
    pub async fn fingerprint(&self) -> anyhow::Result<String> {
        let nursery = self.line.lock().await;
        self.greeted(&nursery).await
    }

    /// Pins its mount namespace for the nurseries of other pods, once it has one.
    ///
    /// # Errors
    /// Names the file; or why no engine could be set up.
    pub async fn keep_namespace(&self) -> anyhow::Result<()> {
        self.fingerprint().await?;
        let pid = self.pid;
        blocking(move || bare::keep(pid)).await
    }

    /// Waits for the nursery's first message.
    async fn greeted(&self, nursery: &Line) -> anyhow::Result<String> {
        let greeting = async || match nursery.receive::<NurseryReply>().await {
            Ok(Ok(NurseryReply::Ready(fingerprint))) => Ok(fingerprint),
            Ok(Ok(NurseryReply::Failed(sentence))) => Err(sentence),
            Ok(other) => Err(format!("the nursery began with {other:?}")),
            Err(error) => Err(format!("the nursery is gone; the pod must be restarted: {error}")),
        };
        self.greeting.get_or_init(greeting).await.clone().map_err(Error::msg)
    }

    /// Runs an errand, and returns its report.
    ///
    /// # Errors
    /// The process's own error, or how it ended without one.
    pub async fn errand(&self, request: NurseryRequest<BorrowedFd<'_>>) -> anyhow::Result<Report<OwnedFd>> {
        self.errand_until(pending(), |_| Ok(()), request).await
    }

    /// Runs an errand, and kills it when `cancelled` resolves, or when `check` refuses the module that it compiles.
    ///
    /// # Errors
    /// See [`Nursery::errand`]; the errors of `cancelled` and `check`.
    pub async fn errand_until(
        &self,
        cancelled: impl Future<Output = Error>,
        check: impl Fn(&Outline) -> anyhow::Result<()>,
        request: NurseryRequest<BorrowedFd<'_>>,
    ) -> anyhow::Result<Report<OwnedFd>> {
        let (born, line) = self.birth(request).await?;
        let kill = || process::signal(&born.pidfd, libc::SIGKILL).context("cannot end a child");
        let checked = async {
            loop {
                match line.report().await? {
                    Some(Report::Outlined(outline)) => {
                        if let Err(refusal) = check(&outline) {
                            kill()?;
                            return Err(refusal);
                        }
                    }
                    report => return Ok(report),
                }
            }
        };
        // Its exit counts as well: a container that it made may hold the line open after it was killed.
        let (report, status) = tokio::select! {
            biased;
            report = checked => (report, self.ended(&born).await),
            status = self.ended(&born) => (line.reported(), status),
            why = cancelled => {
                kill()?;
                (Err(why), self.ended(&born).await)
            }
        };
        let status = status.context("cannot wait for a child")?;
        if let Ok(Some(Report::Created(pid, _))) = &report {
            self.await_end_of(*pid);
        }
        // While a birth is in progress, its child may have ended already, before `await_end_of` was called for it.
        if self.line.try_lock().is_ok() {
            process::reap_strangers(|pid| self.awaited().contains(&pid));
        }
        report?.ok_or_else(|| Silent { status }.into())
    }
}

impl Nursery {
    /// Waits for a child's exit and reaps it. Returns its exit code, or 128 plus its signal.
    ///
    /// # Errors
    /// When it is not a child.
    pub async fn ended(&self, born: &Born) -> io::Result<u32> {
        let readable = awaited::readable(born.pidfd.as_fd())?;
        loop {
            let mut ready = readable.readable().await?;
            match process::reap(born.pidfd.as_fd())? {
                Some(status) => {
                    self.awaited().remove(&born.pid);
                    return Ok(status);
                }
                None => ready.clear_ready(),
            }
        }
    }

    /// Waits for the midwife, reaps it and returns the process that it gave birth to.
    ///
    /// # Errors
    /// The midwife's error.
    pub async fn delivered(&self, midwife: Born, line: &Line) -> anyhow::Result<Born> {
        let report = line.report().await;
        self.ended(&midwife).await.context("cannot wait for a child")?;
        match report? {
            Some(Report::Delivered(pid, PidFd(pidfd))) => {
                self.await_end_of(pid);
                Ok(Born { pid, pidfd })
            }
            other => bail!("the process that enters the pod's namespaces said {other:?}"),
        }
    }

    /// Kills and reaps the process if `made` is an error, and returns `made`.
    ///
    /// # Errors
    /// That of `made`.
    pub async fn or_end<T>(&self, born: &Born, made: anyhow::Result<T>) -> anyhow::Result<T> {
        if made.is_err() {
            // It may have ended by itself; then it is only reaped.
            let _ = process::signal(&born.pidfd, libc::SIGKILL);
            let _ = self.ended(born).await;
        }
        made
    }

    /// Registers that a task will wait for the child `pid`.
    pub fn await_end_of(&self, pid: i32) {
        self.awaited().insert(pid);
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashSet<i32>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
