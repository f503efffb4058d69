//! The pod's tasks: what the daemon knows of each container, and who waits for its end.

mod state;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use container::stdio::{Hold, Paths};
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use tokio::sync::watch;
use workload::Workload;

pub use state::{Event, Refusal, State};

use crate::nursery::Line;

/// The tasks of the pod by container id.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Slot>>);

enum Slot {
    /// A Create is at work; the id is taken.
    Reserved,
    Filled(Arc<Task>),
}

/// One container that was made.
pub struct Task {
    /// What it was made from.
    pub workload: Workload,
    /// Its first process, in the host's pid namespace.
    pub pid: i32,
    /// The same, as long as it has not been reaped and after.
    pub pidfd: OwnedFd,
    /// How it is started.
    pub kind: Kind,
    /// The paths containerd gave, to be told again.
    pub paths: Paths,
    /// Held while one request changes the task and its events are queued, so that they keep order.
    pub turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    hold: Mutex<Option<Hold>>,
    ended: watch::Sender<Option<Ended>>,
}

/// What kind of process it is.
pub enum Kind {
    /// A guest at its gate, and the line by which it is let go.
    Wasm(Line),
    /// A program that libcontainer made.
    Native,
}

/// How and when a process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code, or 128 plus its signal.
    pub status: u32,
    /// The moment the daemon was told.
    pub at: Timestamp,
}

impl Task {
    /// A task just created.
    pub fn new(workload: Workload, kind: Kind, pid: i32, pidfd: OwnedFd, paths: Paths, hold: Hold) -> Self {
        Self {
            workload,
            pid,
            pidfd,
            kind,
            paths,
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::Created),
            hold: Mutex::new(Some(hold)),
            ended: watch::Sender::new(None),
        }
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

    /// Notes the end, lets go of the fifos and wakes all who wait.
    pub fn end(&self, ended: Ended) {
        drop(lock(&self.hold).take());
        self.ended.send_replace(Some(ended));
    }

    /// The end, if it has come.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Waits for the end.
    pub async fn wait(&self) -> Option<Ended> {
        let mut end = self.ended.subscribe();
        // The sender lives in this task, which lives as long as this borrow.
        end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone())
    }

    /// Lets go of standard input.
    pub fn close_stdin(&self) {
        if let Some(hold) = lock(&self.hold).as_mut() {
            hold.close_stdin();
        }
    }
}

impl Tasks {
    /// Takes an id for a Create. `false` when it is taken.
    pub fn reserve(&self, id: &str) -> bool {
        let mut tasks = lock(&self.0);
        let free = !tasks.contains_key(id);
        if free {
            tasks.insert(id.to_owned(), Slot::Reserved);
        }
        free
    }

    /// Puts the task that Create made under its id.
    pub fn fill(&self, task: Arc<Task>) {
        lock(&self.0).insert(task.workload.id.clone(), Slot::Filled(task));
    }

    /// Frees an id.
    pub fn free(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The task of an id; `None` while it is being created, too.
    pub fn find(&self, id: &str) -> Option<Arc<Task>> {
        match lock(&self.0).get(id) {
            Some(Slot::Filled(task)) => Some(Arc::clone(task)),
            Some(Slot::Reserved) | None => None,
        }
    }

    /// Whether the pod has no containers left.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// The time as protobuf writes it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
        ..Timestamp::default()
    }
}

/// Locks what no thread can have left half-changed: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
