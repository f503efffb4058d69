//! The nursery, seen from the daemon: requests go in, processes come out as the daemon's children.

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

use crate::apart::apart;
use crate::awaited;
use crate::payload::{Birth, HostFd, LineFd, PidFd, Reply, Report, Request};

/// The forked process that gives birth to every other. Dropping this ends it.
pub struct Nursery {
    pid: i32,
    line: Mutex<Line>,
    /// What its engines are, or why there are none: the first thing it says.
    greeting: OnceCell<Result<String, String>>,
    /// The daemon's mount namespace, for those born in the nursery's who have work in it.
    host: File,
    /// The children that somebody here waits for. Others are reaped as they are found.
    awaited: std::sync::Mutex<HashSet<i32>>,
}

/// The nursery's process before there is a runtime to await it with.
pub struct Forked(Channel, Pid);

/// Forks the nursery, which removes the pod's `socket` should the daemon end without having done so. To
/// be called while the process has one thread.
///
/// # Errors
/// When there can be no further process, or no engine could be set up.
pub fn fork(socket: &Path) -> anyhow::Result<Forked> {
    let (ours, theirs) = Channel::pair().context("cannot make the nursery's channel")?;
    match birth::child().context("cannot fork the nursery")? {
        Some(pid) => Ok(Forked(ours, pid)),
        None => {
            // Not the pod's socket, not the log: whoever is born here must hold nothing of the daemon's.
            birth::close_all_but(&[theirs.as_raw_fd()]);
            serve::serve(theirs, socket)
        }
    }
}

/// A process ended without a word: it was killed, or it aborted.
#[derive(Debug, Error)]
#[error("the process that did it ended with status {status} and said nothing")]
pub struct Silent {
    /// Its exit code, or 128 plus the signal that ended it.
    pub status: u32,
}

impl Nursery {
    /// Adopts the forked process, inside the runtime.
    ///
    /// # Errors
    /// When the channel cannot be awaited, or `/proc` is out of sight.
    pub fn adopt(Forked(channel, pid): Forked) -> io::Result<Self> {
        Ok(Self {
            pid: pid.as_raw_nonzero().get(),
            line: Mutex::new(Line::new(channel)?),
            greeting: OnceCell::new(),
            host: bare::host()?,
            awaited: std::sync::Mutex::default(),
        })
    }

    /// Gives birth to a process and returns it with a line to it.
    ///
    /// # Errors
    /// A sentence from the nursery, or that it is gone.
    pub async fn birth(&self, request: Request<BorrowedFd<'_>>) -> anyhow::Result<(Born, Line)> {
        const GONE: &str = "the nursery is gone; the pod must be restarted";
        let (ours, theirs) = Channel::pair().context("cannot make a channel")?;
        let host = request.is_of_host().then(|| HostFd(self.host.as_fd()));
        let birth = Birth { line: LineFd(theirs.as_fd()), host, request };
        let nursery = self.line.lock().await;
        self.greeted(&nursery).await?;
        nursery.send(birth).context(GONE)?;
        match nursery.receive::<Reply>().await.context(GONE)?? {
            Reply::Born(pid, PidFd(pidfd)) => {
                // Before the lock is let go: see `errand`.
                self.await_end_of(pid);
                Ok((Born { pid, pidfd }, Line::new(ours)?))
            }
            Reply::Failed(sentence) => bail!(sentence),
            Reply::Ready(_) => bail!("the nursery says that it is ready, out of turn"),
        }
    }

    /// What compiled code must have been made by to be run here.
    ///
    /// # Errors
    /// Why nothing can be run.
    pub async fn fingerprint(&self) -> anyhow::Result<String> {
        let nursery = self.line.lock().await;
        self.greeted(&nursery).await
    }

    /// Has its mount namespace kept for the nurseries of other pods, once it has one.
    ///
    /// # Errors
    /// Names the file; or why nothing can be run.
    pub async fn keep_namespace(&self) -> anyhow::Result<()> {
        self.fingerprint().await?;
        let pid = self.pid;
        apart(move || bare::keep(pid)).await
    }

    /// What the nursery said first, which is waited for.
    async fn greeted(&self, nursery: &Line) -> anyhow::Result<String> {
        let said = async || match nursery.receive::<Reply>().await {
            Ok(Ok(Reply::Ready(fingerprint))) => Ok(fingerprint),
            Ok(Ok(Reply::Failed(sentence))) => Err(sentence),
            Ok(other) => Err(format!("the nursery began with {other:?}")),
            Err(error) => Err(format!("the nursery is gone; the pod must be restarted: {error}")),
        };
        self.greeting.get_or_init(said).await.clone().map_err(Error::msg)
    }

    /// Has a short-lived process do one thing, and returns what it reports.
    ///
    /// # Errors
    /// The process's own sentence, or how it ended without one.
    pub async fn errand(&self, request: Request<BorrowedFd<'_>>) -> anyhow::Result<Report<OwnedFd>> {
        self.errand_until(pending(), |_| Ok(()), request).await
    }

    /// The same, given up when `late` is there, or where `judge` refuses the module that is compiled.
    ///
    /// # Errors
    /// See [`Nursery::errand`]; `late`'s and `judge`'s.
    pub async fn errand_until(
        &self,
        late: impl Future<Output = Error>,
        judge: impl Fn(&Outline) -> anyhow::Result<()>,
        request: Request<BorrowedFd<'_>>,
    ) -> anyhow::Result<Report<OwnedFd>> {
        let (born, line) = self.birth(request).await?;
        let end = || process::signal(&born.pidfd, libc::SIGKILL).context("cannot end a child");
        let judged = async {
            loop {
                match line.report().await? {
                    Some(Report::Outlined(outline)) => {
                        if let Err(refusal) = judge(&outline) {
                            end()?;
                            return Err(refusal);
                        }
                    }
                    report => return Ok(report),
                }
            }
        };
        // Its own end counts too: a container it made may hold the line open after it was killed.
        let (report, status) = tokio::select! {
            biased;
            report = judged => (report, self.ended(&born).await),
            status = self.ended(&born) => (line.reported(), status),
            why = late => {
                end()?;
                (Err(why), self.ended(&born).await)
            }
        };
        let status = status.context("cannot wait for a child")?;
        if let Ok(Some(Report::Created(pid, _))) = &report {
            self.await_end_of(*pid);
        }
        // While somebody is being born, a child may have ended already that nobody here knows to await.
        if self.line.try_lock().is_ok() {
            process::reap_strangers(|pid| self.awaited().contains(&pid));
        }
        report?.ok_or_else(|| Silent { status }.into())
    }
}

impl Nursery {
    /// Waits for a child's end and reaps it: its exit code, or 128 plus its signal.
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

    /// Lets the midwife go and returns whom it gave birth to.
    ///
    /// # Errors
    /// Why it gave birth to nobody.
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

    /// Ends and reaps a process whose making failed; passes the failure on.
    ///
    /// # Errors
    /// That of `made`.
    pub async fn or_end<T>(&self, born: &Born, made: anyhow::Result<T>) -> anyhow::Result<T> {
        if made.is_err() {
            // It may have ended by itself: then only the reaping is left.
            let _ = process::signal(&born.pidfd, libc::SIGKILL);
            let _ = self.ended(born).await;
        }
        made
    }

    /// Notes that somebody here will wait for the child `pid`.
    pub fn await_end_of(&self, pid: i32) {
        self.awaited().insert(pid);
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashSet<i32>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
