//! Kill: a signal to the container's first process, or to all of them.

use container::cgroup::Cgroup;
use container::process;
use containerd_shim_protos::api::Empty;
use ttrpc::{Code, Result};

use super::{StatusOf, status};
use crate::task::{Event, Refusal, Task};

/// Sends `signal`; with `all` to every process of the container's cgroup.
pub fn kill(task: &Task, signal: u32, all: bool) -> Result<Empty> {
    task.check(Event::Kill).map_err(StatusOf::from)?;
    let number = i32::try_from(signal).unwrap_or(i32::MAX);
    match process::signal(&task.process.pidfd, number) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            return Err(StatusOf::from(Refusal::Finished).into());
        }
        Err(error) => {
            return Err(status(
                Code::INVALID_ARGUMENT,
                format!("cannot send signal {signal} to process {}: {error}", task.process.pid),
            ));
        }
    }
    if all {
        let others = Cgroup::of(&task.workload).map_err(StatusOf::from)?.pids();
        for pid in others.into_iter().filter(|pid| *pid != task.process.pid) {
            // One that ended since has nothing to be told.
            let _ = process::open(pid).and_then(|pidfd| process::signal(pidfd, number));
        }
    }
    Ok(Empty::new())
}
