//! One process of a container: its first, or one that was executed in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use container::birth::Born;
use container::stdio::Paths;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use tokio::sync::watch;
use workload::Workload;

use super::state::{Event, Refusal, State};
use crate::lock::lock;
use crate::streams::Streams;

/// A process, from when it is asked for until it is deleted.
pub struct Process {
    /// Its name in the container; empty for the first.
    pub exec_id: String,
    /// The container, with this process in it.
    pub workload: Workload,
    /// The paths containerd gave, to be told again.
    pub paths: Paths,
    /// Held for writing while one request changes the process and its events are queued, so that they
    /// keep order; held for reading, on a container's first process, while another comes into it.
    pub turn: tokio::sync::RwLock<()>,
    state: Mutex<State>,
    born: OnceLock<Born>,
    streams: Mutex<Option<Streams>>,
    /// Whether its client has said that no more comes on standard input.
    stdin_closed: AtomicBool,
    ended: watch::Sender<Option<Ended>>,
}

/// How and when a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code, or 128 plus its signal.
    pub status: u32,
    /// The moment the daemon was told.
    pub at: Timestamp,
}

impl Process {
    /// A process that was asked for and is not there yet.
    pub fn asked(exec_id: String, workload: Workload, paths: Paths) -> Self {
        Self {
            exec_id,
            workload,
            paths,
            turn: tokio::sync::RwLock::new(()),
            state: Mutex::new(State::Created),
            born: OnceLock::new(),
            streams: Mutex::new(None),
            stdin_closed: AtomicBool::new(false),
            ended: watch::Sender::new(None),
        }
    }

    /// Notes that it was born, with what is kept of its streams.
    pub fn is_born(&self, born: Born, streams: Streams) {
        let mut kept = lock(&self.streams);
        if self.stdin_closed.load(Ordering::Relaxed) {
            streams.close_stdin();
        }
        *kept = Some(streams);
        // Born once: the state lets nobody come here twice.
        let _ = self.born.set(born);
    }

    /// Lets go of its standard input; before it is born, as soon as it is.
    pub fn close_stdin(&self) {
        let streams = lock(&self.streams);
        // Under the lock, so that the one who brings the streams finds it said.
        self.stdin_closed.store(true, Ordering::Relaxed);
        if let Some(streams) = streams.as_ref() {
            streams.close_stdin();
        }
    }

    /// Its id in the host's pid namespace and its descriptor, once it is born.
    pub fn born(&self) -> Option<&Born> {
        self.born.get()
    }

    /// Its id in the host's pid namespace as containerd is told it; 0 before it is born.
    pub fn pid(&self) -> u32 {
        self.born().map_or(0, |born| born.pid.cast_unsigned())
    }

    /// Whether it is the container's first.
    pub fn is_first(&self) -> bool {
        self.exec_id.is_empty()
    }

    /// What containerd knows it by: the first process has the container's own id.
    pub fn id(&self) -> &str {
        if self.is_first() { &self.workload.id } else { &self.exec_id }
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Whether `event` has its place now.
    ///
    /// # Errors
    /// [`Refusal`] with the reason.
    pub fn check(&self, event: Event) -> Result<(), Refusal> {
        self.state().after(event).map(drop)
    }

    /// Lets `event` happen.
    ///
    /// # Errors
    /// [`Refusal`] when it has no place now.
    pub fn advance(&self, event: Event) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        *state = state.after(event)?;
        Ok(())
    }

    /// Notes the end and wakes all who wait.
    pub fn end(&self, ended: Ended) {
        self.ended.send_replace(Some(ended));
    }

    /// The end, if it has come.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the end.
    pub async fn wait(&self) -> Option<Ended> {
        let mut end = self.ended.subscribe();
        // The sender lives in this process, which lives as long as this borrow.
        end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
    }

    /// Acts on what is kept of its streams; `None` before it is born and after it is deleted.
    pub fn with_streams<T>(&self, act: impl FnOnce(Option<&Streams>) -> T) -> T {
        act(lock(&self.streams).as_ref())
    }

    /// Lets go of its fifos when it has ended, and waits, within reason, until what it wrote is read, or in its logs.
    pub async fn settled(&self) {
        let settled = self.with_streams(|streams| streams.map(|streams| streams.settled(&self.workload.id)));
        if let Some(settled) = settled {
            settled.await;
        }
    }

    /// Waits for the last output of an ended process, within reason, and lets go of its streams.
    pub async fn drained(&self) {
        let streams = lock(&self.streams).take();
        if let Some(mut streams) = streams {
            streams.drained().await;
        }
    }
}
