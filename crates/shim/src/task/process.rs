//! One process of a container: its first, or an exec.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use container::birth::Born;
use container::stdio::Paths;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use tokio::sync::watch;
use workload::Workload;

use super::state::{Event, ProcessState, Refusal};
use crate::lock::lock;
use crate::streams::Streams;

/// A process, from its request until its Delete.
pub struct Process {
    /// Its exec id; empty for the first process.
    pub exec_id: String,
    /// The container, with this process in it.
    pub workload: Workload,
    /// The paths of its streams, as containerd passed them; State returns them.
    pub paths: Paths,
    /// Locked for writing while a request changes the process and queues its events, so that they stay in order; locked
    /// for reading, on a container's first process, while an exec starts.
    pub turn: tokio::sync::RwLock<()>,
    state: Mutex<ProcessState>,
    born: OnceLock<Born>,
    streams: Mutex<Option<Streams>>,
    /// Whether its client has closed standard input.
    stdin_closed: AtomicBool,
    ended: watch::Sender<Option<Ended>>,
}

/// How and when a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code, or 128 plus its signal.
    pub status: u32,
    /// When the daemon noticed it.
    pub at: Timestamp,
}

impl Process {
    /// A process that was requested and not born yet.
    pub fn requested(exec_id: String, workload: Workload, paths: Paths) -> Self {
        Self {
            exec_id,
            workload,
            paths,
            turn: tokio::sync::RwLock::new(()),
            state: Mutex::new(ProcessState::Created),
            born: OnceLock::new(),
            streams: Mutex::new(None),
            stdin_closed: AtomicBool::new(false),
            ended: watch::Sender::new(None),
        }
    }

    /// Stores the born process, and its streams.
    pub fn is_born(&self, born: Born, streams: Streams) {
        let mut kept = lock(&self.streams);
        if self.stdin_closed.load(Ordering::Relaxed) {
            streams.close_stdin();
        }
        *kept = Some(streams);
        // The state allows only one Start, so this is set only once.
        let _ = self.born.set(born);
    }

    /// Closes its standard input; if it is not born yet, as soon as it is.
    pub fn close_stdin(&self) {
        let streams = lock(&self.streams);
        // Under the lock, so that `is_born` sees it.
        self.stdin_closed.store(true, Ordering::Relaxed);
        if let Some(streams) = streams.as_ref() {
            streams.close_stdin();
        }
    }

    /// Its pid in the host's pid namespace and its pidfd, once it is born.
    pub fn born(&self) -> Option<&Born> {
        self.born.get()
    }

    /// Its pid in the host's pid namespace, for containerd; 0 before it is born.
    pub fn pid(&self) -> u32 {
        self.born().map_or(0, |born| born.pid.cast_unsigned())
    }

    /// Whether it is the container's first process.
    pub fn is_first(&self) -> bool {
        self.exec_id.is_empty()
    }

    /// Its id in containerd's events: the container's id for the first process.
    pub fn id(&self) -> &str {
        if self.is_first() { &self.workload.id } else { &self.exec_id }
    }

    /// Its state.
    pub fn state(&self) -> ProcessState {
        *lock(&self.state)
    }

    /// Checks whether `event` is allowed now.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn check(&self, event: Event) -> Result<(), Refusal> {
        self.state().after(event).map(drop)
    }

    /// Changes the state by `event`.
    ///
    /// # Errors
    /// [`Refusal`] when it is not allowed now.
    pub fn advance(&self, event: Event) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        *state = state.after(event)?;
        Ok(())
    }

    /// Stores the exit and wakes all waiters.
    pub fn end(&self, ended: Ended) {
        self.ended.send_replace(Some(ended));
    }

    /// The exit, if it has ended.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the exit.
    pub async fn wait(&self) -> Option<Ended> {
        let mut end = self.ended.subscribe();
        // The sender is a field of `self`, which is borrowed, so this cannot fail.
        end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
    }

    /// Calls `act` with its streams; with `None` before it is born and after its Delete.
    pub fn with_streams<T>(&self, act: impl FnOnce(Option<&Streams>) -> T) -> T {
        act(lock(&self.streams).as_ref())
    }

    /// Closes the fifos of the ended process, and waits, for a limited time, until its output is being read or in its
    /// logs.
    pub async fn settled(&self) {
        let settled = self.with_streams(|streams| streams.map(|streams| streams.settled(&self.workload.id)));
        if let Some(settled) = settled {
            settled.await;
        }
    }

    /// Waits, for a limited time, for the last output of the ended process, and drops its streams.
    pub async fn drained(&self) {
        let streams = lock(&self.streams).take();
        if let Some(mut streams) = streams {
            streams.drained().await;
        }
    }
}
