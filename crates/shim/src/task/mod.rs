//! The pod's tasks: the state of each container and of its processes, and waiting for their exits.

mod oom;
mod process;
mod state;

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use container::cgroup::{CgroupDirs, is_by_systemd};
use container::layers::Layers;
use container::namespaces::Namespaces;
use containerd_shim_protos::api::StatsResponse;
use oci_spec::runtime::LinuxResources;
use tokio::sync::watch;
use tokio::time::timeout;
use workload::Workload;

pub use oom::OomEvents;
pub use process::{Ended, Process};
pub use state::{Event, ProcessState, Refusal};

use crate::guest_memory::GuestMemory;
use crate::lock::lock;
use crate::nursery::Gate;
use crate::record::Record;

/// How long a Delete waits for a cancelled Create to be undone, whose compiler it kills. containerd waits 5 s for the
/// Delete; a Create that takes longer is undone when it ends.
const TAKEN_BACK: Duration = Duration::from_secs(3);

/// The tasks of the pod by container id.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Slot>>);

enum Slot {
    /// A Create is in progress. The value is whether it was cancelled; the sender is dropped when the Create ends.
    Reserved(watch::Sender<bool>),
    Filled(Arc<Task>),
}

/// A created container.
pub struct Task {
    /// The record of what was made for it.
    pub record: Record,
    /// Whether it is a Wasm or a Linux container.
    pub kind: Kind,
    /// The cgroup of its first process.
    pub cgroup: CgroupDirs,
    /// Its namespaces, from its spec.
    pub namespaces: Namespaces,
    /// Its first process.
    pub first: Arc<Process>,
    /// Its out-of-memory events.
    pub oom: OomEvents,
    /// Its current limits.
    pub limits: Mutex<LinuxResources>,
    /// Whether systemd made its cgroup.
    by_systemd: bool,
    /// Its last known stats, if the cgroup may be gone when containerd requests them.
    last_stats: Mutex<Option<StatsResponse>>,
    /// Its other processes, by exec id.
    execs: Mutex<HashMap<String, Arc<Process>>>,
}

/// The kind of a container.
pub enum Kind {
    /// A Wasm container.
    Wasm {
        /// The gate at which the first process waits.
        gate: Gate,
        /// The memory of the container's guests.
        memory: GuestMemory,
        /// The layers of its image.
        layers: Layers,
    },
    /// A Linux container, made by libcontainer.
    Native,
}

impl Task {
    /// A task that was just created.
    pub fn new(
        record: Record,
        kind: Kind,
        cgroup: CgroupDirs,
        namespaces: Namespaces,
        first: Process,
    ) -> Self {
        let by_systemd = is_by_systemd(&first.workload);
        let first_limits = first.workload.resources().cloned().unwrap_or_default();
        Self {
            record,
            kind,
            cgroup,
            namespaces,
            first: Arc::new(first),
            oom: OomEvents::default(),
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

    /// Whether systemd may remove its cgroup before containerd requests its stats.
    pub fn loses_stats(&self) -> bool {
        self.by_systemd
    }

    /// Stores its stats, if systemd may remove its cgroup, which it does when the last process ends.
    pub fn keep_stats(&self, stats: impl FnOnce(&Self) -> Option<StatsResponse>) {
        if self.loses_stats()
            && let Some(stats) = stats(self)
        {
            *lock(&self.last_stats) = Some(stats);
        }
    }

    /// The stats stored last.
    pub fn last_stats(&self) -> Option<StatsResponse> {
        lock(&self.last_stats).clone()
    }

    /// Adds a process. `false` if its exec id is taken.
    pub fn add(&self, process: Process) -> bool {
        let mut execs = lock(&self.execs);
        let free = !execs.contains_key(&process.exec_id);
        if free {
            execs.insert(process.exec_id.clone(), Arc::new(process));
        }
        free
    }

    /// A process by its exec id; the empty one means the first process.
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
    /// Reserves an id for a Create. `false` if it is taken.
    pub fn reserve(&self, id: &str) -> bool {
        let mut tasks = lock(&self.0);
        let free = !tasks.contains_key(id);
        if free {
            tasks.insert(id.to_owned(), Slot::Reserved(watch::Sender::new(false)));
        }
        free
    }

    /// Stores the task that Create made under its id.
    ///
    /// # Errors
    /// When the Create was cancelled meanwhile.
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

    /// Cancels the Create in progress under an id, if any, and waits, for a limited time, until it is undone: after a
    /// timeout containerd deletes the container and then the bundle.
    pub async fn give_up(&self, id: &str) {
        let mut at_work = match lock(&self.0).get(id) {
            Some(Slot::Reserved(given_up)) => {
                given_up.send_replace(true);
                given_up.subscribe()
            }
            Some(Slot::Filled(_)) | None => return,
        };
        // `changed` fails once the sender is dropped; other Deletes may cancel it before.
        let _ = timeout(TAKEN_BACK, async { while at_work.changed().await.is_ok() {} }).await;
    }

    /// Waits until the Create in progress under an id is cancelled; for ever, if it is not.
    pub async fn given_up(&self, id: &str) {
        let cancelled = match lock(&self.0).get(id) {
            Some(Slot::Reserved(given_up)) => Some(given_up.subscribe()),
            Some(Slot::Filled(_)) | None => None,
        };
        if let Some(mut cancelled) = cancelled
            && cancelled.wait_for(|given_up| *given_up).await.is_ok()
        {
            return;
        }
        pending().await
    }

    /// Frees an id.
    pub fn free(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The task of an id; `None` also while it is being created.
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
