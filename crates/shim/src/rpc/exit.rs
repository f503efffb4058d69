//! The end of a container's process, as everybody is told of it.

use std::sync::Arc;

use container::cgroup::Cgroup;
use container::namespaces::Namespaces;
use containerd_shim_protos::events::task::TaskExit;
use containerd_shim_protos::protobuf::MessageField;
use workload::Workload;

use crate::daemon::Daemon;
use crate::task::{Ended, Event, Kind, Task, now};

/// Waits for the process's end and tells everybody.
pub async fn watch(daemon: Arc<Daemon>, task: Arc<Task>) {
    let status = match daemon.nursery.ended(&task.process).await {
        Ok(status) => status,
        Err(error) => return log::error!("container {}: cannot wait for its end: {error}", task.workload.id),
    };
    log::debug!("container {}: its process ended with status {status}", task.workload.id);
    let ended = Ended { status, at: now() };
    // A Start that is on its way announces itself first.
    let _turn = task.turn.lock().await;
    if let Kind::Native = task.kind
        && let Err(error) = end_the_rest(&task.workload)
    {
        log::warn!("container {}: {error:#}", task.workload.id);
    }
    if let Err(refusal) = task.advance(Event::Exit) {
        log::error!("container {}: {refusal}", task.workload.id);
    }
    daemon.events.publish(&TaskExit {
        container_id: task.workload.id.clone(),
        id: task.workload.id.clone(),
        pid: task.process.pid.cast_unsigned(),
        exit_status: ended.status,
        exited_at: MessageField::some(ended.at.clone()),
        ..TaskExit::default()
    });
    task.end(ended);
}

/// With its first process a container is over. The kernel sees to that in a pid namespace of its own;
/// in a shared one the others are killed here, or they would keep its pipes open.
fn end_the_rest(workload: &Workload) -> anyhow::Result<()> {
    if Namespaces::of(&workload.spec).new & libc::CLONE_NEWPID == 0 {
        Cgroup::of(workload)?.kill_all();
    }
    Ok(())
}
