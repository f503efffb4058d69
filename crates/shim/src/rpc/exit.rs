//! The end of a container's process, as everybody is told of it.

use std::sync::Arc;
use std::time::Duration;

use container::namespaces::Namespaces;
use containerd_shim_protos::events::task::TaskExit;
use containerd_shim_protos::protobuf::MessageField;

use super::stats;
use crate::apart::apart;
use crate::daemon::Daemon;
use crate::oom;
use crate::task::{Ended, Event, Process, State, Task, now};

/// How long the ends of a container's other processes may keep its own from being told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a process's end and tells everybody.
pub async fn watch(daemon: Arc<Daemon>, task: Arc<Task>, process: Arc<Process>) {
    let id = &task.workload().id;
    let Some(born) = process.born() else { return };
    let status = match daemon.nursery.ended(born).await {
        Ok(status) => status,
        Err(error) => return log::error!("container {id}: cannot wait for its end: {error}"),
    };
    log::debug!("container {id}: process {:?} ended with status {status}", process.id());
    let ended = Ended { status, at: now() };
    oom::tell_wanted(&daemon, &task);
    if process.is_first() {
        last_look(&daemon, &task, status);
    }
    // A Start that is on its way announces itself first.
    let _turn = process.turn.write().await;
    if process.is_first() {
        end_the_rest(&task).await;
    }
    process.settled().await;
    if let Err(refusal) = process.advance(Event::Exit) {
        log::error!("container {id}: {refusal}");
    }
    daemon.events.publish(&TaskExit {
        container_id: id.clone(),
        id: process.id().to_owned(),
        pid: process.pid(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at.clone()),
        ..TaskExit::default()
    });
    process.end(ended);
}

/// What the cgroup says at the end, before anything is waited for: systemd removes it as soon as it is empty.
fn last_look(daemon: &Daemon, task: &Task, status: u32) {
    oom::tell_last(daemon, task, status);
    task.keep_stats(stats::now);
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
    if Namespaces::of(&task.workload().spec).new & libc::CLONE_NEWPID == 0 {
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
