//! The pod's tasks: what the daemon knows of each container and its processes, and who waits for their end.

mod process;
mod state;
mod told;

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use container::cgroup::{Folders, is_by_systemd};
use container::layers::Layers;
use container::namespaces::Namespaces;
use containerd_shim_protos::api::StatsResponse;
use oci_spec::runtime::LinuxResources;
use tokio::sync::watch;
use tokio::time::timeout;
use workload::Workload;

pub use process::{Ended, Process};
pub use state::{Event, Refusal, State};
pub use told::Told;

use crate::guest_memory::GuestMemory;
use crate::lock::lock;
use crate::nursery::Gate;
use crate::record::Record;

/// How long a Delete waits for a Create to be taken back, whose compiler it ends. containerd waits 5 s for the
/// Delete; what takes longer is taken back when it ends.
const TAKEN_BACK: Duration = Duration::from_secs(3);

/// The tasks of the pod by container id.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Slot>>);

enum Slot {
    /// A Create is at work; the id is taken. Whoever asked may have given it up since, which is told here, and wait
    /// for the end of it, which is this sender's.
    Reserved(watch::Sender<bool>),
    Filled(Arc<Task>),
}

/// One container that was made.
pub struct Task {
    /// What was begun for it.
    pub record: Record,
    /// How it is started.
    pub kind: Kind,
    /// The cgroup its first process was put into.
    pub cgroup: Folders,
    /// Its namespaces, as its spec says.
    pub namespaces: Namespaces,
    /// Its first process.
    pub first: Arc<Process>,
    /// How often its memory ran out, as far as containerd was told.
    pub oom: Told,
    /// The limits it has by now.
    pub limits: Mutex<LinuxResources>,
    /// Whether systemd made its cgroup.
    by_systemd: bool,
    /// What it had used when that was looked at last, where the cgroup may be gone when containerd asks.
    last_stats: Mutex<Option<StatsResponse>>,
    /// Its other processes, by the names they were given.
    execs: Mutex<HashMap<String, Arc<Process>>>,
}

/// What kind of container it is.
pub enum Kind {
    /// A guest at its gate, and the memory of all its guests.
    Wasm {
        /// Where the first process waits.
        gate: Gate,
        /// What the container's guests may have.
        memory: GuestMemory,
        /// Where its image's files are.
        layers: Layers,
    },
    /// A program that libcontainer made.
    Native,
}

impl Task {
    /// A task just created.
    pub fn new(record: Record, kind: Kind, cgroup: Folders, namespaces: Namespaces, first: Process) -> Self {
        let by_systemd = is_by_systemd(&first.workload);
        let first_limits = first.workload.resources().cloned().unwrap_or_default();
        Self {
            record,
            kind,
            cgroup,
            namespaces,
            first: Arc::new(first),
            oom: Told::default(),
            limits: Mutex::new(first_limits),
            by_systemd,
            last_stats: Mutex::default(),
            execs: Mutex::default(),
        }
    }

    /// The container.
    pub fn workload(&self) -> &Workload {
        &self.first.workload
    }

    /// Whether systemd may remove its cgroup before containerd asks what it has used.
    pub fn loses_stats(&self) -> bool {
        self.by_systemd
    }

    /// Notes what it has used, if systemd may remove its cgroup before containerd asks: with its last process.
    pub fn keep_stats(&self, stats: impl FnOnce(&Self) -> Option<StatsResponse>) {
        if self.loses_stats()
            && let Some(stats) = stats(self)
        {
            *lock(&self.last_stats) = Some(stats);
        }
    }

    /// What was noted last.
    pub fn last_stats(&self) -> Option<StatsResponse> {
        lock(&self.last_stats).clone()
    }

    /// Adds a process that was asked for. `false` when its name is taken.
    pub fn add(&self, process: Process) -> bool {
        let mut execs = lock(&self.execs);
        let free = !execs.contains_key(&process.exec_id);
        if free {
            execs.insert(process.exec_id.clone(), Arc::new(process));
        }
        free
    }

    /// A process by its name; the empty one is the first's.
    pub fn process(&self, exec_id: &str) -> Option<Arc<Process>> {
        if exec_id.is_empty() {
            Some(Arc::clone(&self.first))
        } else {
            lock(&self.execs).get(exec_id).cloned()
        }
    }

    /// Forgets a process that was deleted.
    pub fn remove(&self, exec_id: &str) {
        lock(&self.execs).remove(exec_id);
    }

    /// Every process that was executed in the container.
    pub fn execs(&self) -> Vec<Arc<Process>> {
        lock(&self.execs).values().cloned().collect()
    }
}

impl Tasks {
    /// Takes an id for a Create. `false` when it is taken.
    pub fn reserve(&self, id: &str) -> bool {
        let mut tasks = lock(&self.0);
        let free = !tasks.contains_key(id);
        if free {
            tasks.insert(id.to_owned(), Slot::Reserved(watch::Sender::new(false)));
        }
        free
    }

    /// Puts the task that Create made under its id.
    ///
    /// # Errors
    /// When it was given up while it was made.
    pub fn fill(&self, task: &Arc<Task>) -> anyhow::Result<()> {
        let mut tasks = lock(&self.0);
        let id = task.workload().id.clone();
        if let Some(Slot::Reserved(given_up)) = tasks.get(&id)
            && *given_up.borrow()
        {
            bail!("container {id} was deleted while it was created");
        }
        tasks.insert(id, Slot::Filled(Arc::clone(task)));
        Ok(())
    }

    /// Notes that nobody wants what is being created under an id any more, and waits until it is taken back,
    /// within reason: containerd deletes what it stopped waiting for, and then the bundle.
    pub async fn give_up(&self, id: &str) {
        let mut at_work = match lock(&self.0).get(id) {
            Some(Slot::Reserved(given_up)) => {
                given_up.send_replace(true);
                given_up.subscribe()
            }
            Some(Slot::Filled(_)) | None => return,
        };
        // It ends with its sender; before, others may give it up, too.
        let _ = timeout(TAKEN_BACK, async { while at_work.changed().await.is_ok() {} }).await;
    }

    /// Waits until nobody wants any more what is being created under an id: for ever, if that is made.
    pub async fn given_up(&self, id: &str) {
        let told = match lock(&self.0).get(id) {
            Some(Slot::Reserved(given_up)) => Some(given_up.subscribe()),
            Some(Slot::Filled(_)) | None => None,
        };
        if let Some(mut told) = told
            && told.wait_for(|given_up| *given_up).await.is_ok()
        {
            return;
        }
        pending().await
    }

    /// Frees an id.
    pub fn free(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The task of an id; `None` while it is being created, too.
    pub fn find(&self, id: &str) -> Option<Arc<Task>> {
        match lock(&self.0).get(id) {
            Some(Slot::Filled(task)) => Some(Arc::clone(task)),
            Some(Slot::Reserved(_)) | None => None,
        }
    }

    /// Whether the pod has no containers left.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}
