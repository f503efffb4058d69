//! Kill: a signal to the container's first process, or to all of them.

use std::sync::Arc;

use container::process;
use containerd_shim_protos::api::Empty;
use ttrpc::{Code, Result};

use super::status::{StatusOf, status};
use crate::blocking::blocking;
use crate::task::{Event, Process, ProcessState, Refusal, Task};

/// Sends `signal` to one process or, with `all`, to every process of the container's cgroup.
pub async fn kill(task: Arc<Task>, process: Arc<Process>, signal: u32, all: bool) -> Result<Empty> {
    process.check(Event::Kill).map_err(StatusOf::from)?;
    let Some(born) = process.born() else {
        return Err(status(Code::FAILED_PRECONDITION, format!("process {:?} was not started", process.id())));
    };
    let number = i32::try_from(signal).unwrap_or(i32::MAX);
    match process::signal(&born.pidfd, number) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            return Err(StatusOf::from(Refusal::Finished).into());
        }
        Err(error) => {
            return Err(status(
                Code::INVALID_ARGUMENT,
                format!("cannot send signal {signal} to process {}: {error}", born.pid),
            ));
        }
    }
    // On v1 even SIGKILL does not end a frozen process, so thaw. The others run for a moment, which does no harm.
    let thaw = number == libc::SIGKILL && process.is_first() && process.state() == ProcessState::Paused;
    let others = all && process.is_first();
    if others || thaw {
        let (cgroup, first) = (task.cgroup.clone(), born.pid);
        let done = blocking(move || {
            let pids = if others { cgroup.pids() } else { Vec::new() };
            for pid in pids.into_iter().filter(|pid| *pid != first) {
                // It may have ended since.
                let _ = process::open(pid).and_then(|pidfd| process::signal(pidfd, number));
            }
            if thaw { cgroup.freeze(false) } else { Ok(()) }
        });
        done.await.map_err(StatusOf::from)?;
    }
    Ok(Empty::new())
}
