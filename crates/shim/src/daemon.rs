//! The state of a pod's daemon: its nursery, its tasks and its shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::events::Events;
use crate::nursery::Nursery;
use crate::streams::Launcher;
use crate::task::{Process, Task, Tasks};
use crate::watch::watch;

/// The state that all RPCs share.
pub struct Daemon {
    pub nursery: Arc<Nursery>,
    pub tasks: Tasks,
    pub events: Events,
    /// containerd's namespace.
    pub namespace: String,
    /// Whether a Create was ever requested.
    pub create_requested: AtomicBool,
    /// Notified when the daemon is to exit.
    pub shutdown: Notify,
    shutdown_requested: AtomicBool,
}

impl Daemon {
    /// A daemon without tasks.
    pub fn new(nursery: Nursery, events: Events, namespace: String) -> Self {
        Self {
            nursery: Arc::new(nursery),
            tasks: Tasks::default(),
            events,
            namespace,
            create_requested: AtomicBool::new(false),
            shutdown: Notify::new(),
            shutdown_requested: AtomicBool::new(false),
        }
    }

    /// Launches this pod's containers.
    pub fn launcher(&self) -> Launcher<'_> {
        Launcher { nursery: &self.nursery, namespace: &self.namespace }
    }

    /// Starts a task that waits for a process's exit and reports it.
    pub fn watch(&self, task: &Arc<Task>, process: &Arc<Process>) {
        let (nursery, events) = (Arc::clone(&self.nursery), self.events.clone());
        tokio::spawn(watch(nursery, events, Arc::clone(task), Arc::clone(process)));
    }

    /// Shuts the daemon down if its pod is empty; with containers left it stays, even if the request says `now`, as
    /// with runc's shim. A Create in progress whose client has left shuts it down after its clean-up.
    pub fn ask_to_shut_down(&self) {
        self.shutdown_requested.store(true, Ordering::Relaxed);
        if self.tasks.is_empty() {
            self.shutdown.notify_one();
        }
    }

    /// Frees an id after a failed Create.
    pub fn free(&self, id: &str) {
        self.tasks.free(id);
        if self.shutdown_requested.load(Ordering::Relaxed) {
            self.ask_to_shut_down();
        }
    }
}
