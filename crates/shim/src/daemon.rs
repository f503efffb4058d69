//! What the daemon of a pod knows: one nursery, the pod's tasks, and when it is to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::events::Events;
use crate::nursery::Nursery;
use crate::streams::Launcher;
use crate::task::{Process, Task, Tasks};
use crate::watch::watch;

/// What every RPC works on.
pub struct Daemon {
    pub nursery: Arc<Nursery>,
    pub tasks: Tasks,
    pub events: Events,
    /// containerd's namespace.
    pub namespace: String,
    /// Whether anything was ever to be created here.
    pub asked: AtomicBool,
    /// Notified when it is to end.
    pub shutdown: Notify,
    shutdown_asked: AtomicBool,
}

impl Daemon {
    /// One with no tasks yet.
    pub fn new(nursery: Nursery, events: Events, namespace: String) -> Self {
        Self {
            nursery: Arc::new(nursery),
            tasks: Tasks::default(),
            events,
            namespace,
            asked: AtomicBool::new(false),
            shutdown: Notify::new(),
            shutdown_asked: AtomicBool::new(false),
        }
    }

    /// Who launches this pod's containers.
    pub fn launcher(&self) -> Launcher<'_> {
        Launcher { nursery: &self.nursery, namespace: &self.namespace }
    }

    /// Has the end of a process that was born watched for.
    pub fn watch(&self, task: &Arc<Task>, process: &Arc<Process>) {
        let (nursery, events) = (Arc::clone(&self.nursery), self.events.clone());
        tokio::spawn(watch(nursery, events, Arc::clone(task), Arc::clone(process)));
    }

    /// Ends the daemon when its pod is empty. Other containers may still need it, `now` or not: as with
    /// runc's shim. A Create at work, whose client has left, ends it when it has cleaned up.
    pub fn ask_to_shut_down(&self) {
        self.shutdown_asked.store(true, Ordering::Relaxed);
        if self.tasks.is_empty() {
            self.shutdown.notify_one();
        }
    }

    /// Frees an id after a failed Create.
    pub fn free(&self, id: &str) {
        self.tasks.free(id);
        if self.shutdown_asked.load(Ordering::Relaxed) {
            self.ask_to_shut_down();
        }
    }
}
