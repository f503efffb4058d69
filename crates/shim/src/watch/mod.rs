//! Waits for the exit of each process and reports it.

pub mod oom;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use containerd_shim_protos::events::task::TaskExit;
use containerd_shim_protos::protobuf::MessageField;

use crate::blocking::blocking;
use crate::events::{Events, now};
use crate::nursery::Nursery;
use crate::task::{Ended, Event, Process, ProcessState, Task};

/// How long the exits of a container's other processes may delay the report of its own.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a process's exit, publishes it and wakes all waiters.
pub async fn watch(nursery: Arc<Nursery>, events: Events, task: Arc<Task>, process: Arc<Process>) {
    let id = &task.workload().id;
    let Some(born) = process.born() else { return };
    let status = match nursery.ended(born).await {
        Ok(status) => status,
        Err(error) => return log::error!("container {id}: cannot wait for its end: {error}"),
    };
    log::debug!("container {id}: process {:?} ended with status {status}", process.id());
    let ended = Ended { status, at: now() };
    last_look(&events, &task, process.is_first().then_some(status)).await;
    // A Start in progress publishes its event first.
    let _turn = process.turn.write().await;
    if process.is_first() {
        end_the_rest(&task).await;
    }
    process.settled().await;
    if let Err(refusal) = process.advance(Event::Exit) {
        log::error!("container {id}: {refusal}");
    }
    events.publish(&TaskExit {
        container_id: id.clone(),
        id: process.id().to_owned(),
        pid: process.pid(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at.clone()),
        ..TaskExit::default()
    });
    process.end(ended);
}

/// Reports OOM and stores the last stats when a process ends; `first` is its status if it was the container's first. It
/// comes before any other wait, since systemd removes a cgroup as soon as it is empty.
async fn last_look(events: &Events, task: &Arc<Task>, first: Option<u32>) {
    let (events, looked) = (events.clone(), Arc::clone(task));
    let look = blocking(move || {
        oom::report_guest_oom(&events, &looked);
        if let Some(status) = first {
            oom::report_at_exit(&events, &looked, status);
            looked.keep_stats(stats::now);
        }
        Ok(())
    });
    if let Err(error) = look.await {
        log::error!("container {}: {error:#}", task.workload().id);
    }
}

/// A container ends with its first process: the others are killed, and their exits are reported before its own.
async fn end_the_rest(task: &Task) {
    kill_the_rest(task).await;
    let running = task.execs().into_iter().filter(|exec| exec.state() == ProcessState::Running);
    for exec in running {
        if tokio::time::timeout(PATIENCE, exec.wait()).await.is_err() {
            log::warn!("container {}: its process {:?} does not end", task.workload().id, exec.id());
        }
    }
}

/// Kills the other processes if the container shares a pid namespace: they would keep its pipes open. In a pid
/// namespace of its own the kernel kills them.
async fn kill_the_rest(task: &Task) {
    if task.namespaces.new & libc::CLONE_NEWPID == 0 {
        let cgroup = task.cgroup.clone();
        let killed = blocking(move || {
            cgroup.kill_all();
            Ok(())
        });
        if let Err(error) = killed.await {
            log::error!("container {}: {error:#}", task.workload().id);
        }
    }
}
