//! Watching: from a process that runs to its end, as everybody is told of it.

pub mod oom;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use containerd_shim_protos::events::task::TaskExit;
use containerd_shim_protos::protobuf::MessageField;

use crate::apart::apart;
use crate::events::{Events, now};
use crate::nursery::Nursery;
use crate::task::{Ended, Event, Process, State, Task};

/// How long the ends of a container's other processes may keep its own from being told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a process's end and tells everybody.
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
    // A Start that is on its way announces itself first.
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

/// What the guest and the cgroup say at the end of a process, and, where that was the container's first, with which
/// status it ended; before anything is waited for: systemd removes a cgroup as soon as it is empty.
async fn last_look(events: &Events, task: &Arc<Task>, first: Option<u32>) {
    let (events, looked) = (events.clone(), Arc::clone(task));
    let look = apart(move || {
        oom::tell_wanted(&events, &looked);
        if let Some(status) = first {
            oom::tell_last(&events, &looked, status);
            looked.keep_stats(stats::now);
        }
        Ok(())
    });
    if let Err(error) = look.await {
        log::error!("container {}: {error:#}", task.workload().id);
    }
}

/// With its first process a container is over: the others end, and their ends are told before its own.
async fn end_the_rest(task: &Task) {
    kill_the_rest(task).await;
    let running = task.execs().into_iter().filter(|exec| exec.state() == State::Running);
    for exec in running {
        if tokio::time::timeout(PATIENCE, exec.wait()).await.is_err() {
            log::warn!("container {}: its process {:?} does not end", task.workload().id, exec.id());
        }
    }
}

/// The kernel does it in a pid namespace of the container's own; in a shared one the others are killed
/// here, or they would keep its pipes open.
async fn kill_the_rest(task: &Task) {
    if task.namespaces.new & libc::CLONE_NEWPID == 0 {
        let cgroup = task.cgroup.clone();
        let killed = apart(move || {
            cgroup.kill_all();
            Ok(())
        });
        if let Err(error) = killed.await {
            log::error!("container {}: {error:#}", task.workload().id);
        }
    }
}
