//! The pod's tasks: what the daemon knows of each container, and who waits for its end.

mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use container::birth::Born;
use container::stdio::{Hold, Paths};
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use tokio::sync::watch;
use workload::Workload;

pub use state::{Event, Refusal, State};

use crate::nursery::Line;
use crate::record::Record;

/// The tasks of the pod by container id.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Slot>>);

enum Slot {
    /// A Create is at work; the id is taken. Whoever asked may have given it up since.
    Reserved {
        given_up: bool,
    },
    Filled(Arc<Task>),
}

/// One container that was made.
pub struct Task {
    /// What it was made from.
    pub workload: Workload,
    /// What was begun for it.
    pub record: Record,
    /// Its first process, by its id in the host's pid namespace and by descriptor.
    pub process: Born,
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
    pub fn new(workload: Workload, record: Record, kind: Kind, born: Born, paths: Paths, hold: Hold) -> Self {
        Self {
            workload,
            record,
            process: born,
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
            tasks.insert(id.to_owned(), Slot::Reserved { given_up: false });
        }
        free
    }

    /// Puts the task that Create made under its id.
    ///
    /// # Errors
    /// When it was given up while it was made.
    pub fn fill(&self, task: Task) -> anyhow::Result<Arc<Task>> {
        let mut tasks = lock(&self.0);
        let id = task.workload.id.clone();
        if let Some(Slot::Reserved { given_up: true }) = tasks.get(&id) {
            bail!("container {id} was deleted while it was created");
        }
        let task = Arc::new(task);
        tasks.insert(id, Slot::Filled(Arc::clone(&task)));
        Ok(task)
    }

    /// Notes that nobody wants what is being created under an id any more: containerd deletes what it
    /// stopped waiting for.
    pub fn give_up(&self, id: &str) {
        if let Some(Slot::Reserved { given_up }) = lock(&self.0).get_mut(id) {
            *given_up = true;
        }
    }

    /// Frees an id.
    pub fn free(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The task of an id; `None` while it is being created, too.
    pub fn find(&self, id: &str) -> Option<Arc<Task>> {
        match lock(&self.0).get(id) {
            Some(Slot::Filled(task)) => Some(Arc::clone(task)),
            Some(Slot::Reserved { .. }) | None => None,
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
