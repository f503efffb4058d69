//! `delete`: containerd runs it when a daemon is gone, to remove what is left of its container.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use container::hooks::{self, Moment};
use container::native;
use containerd_shim::Flags;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message, MessageField};
use workload::Workload;

use crate::companion;
use crate::end::{Step, steps};
use crate::events::now;
use crate::record::{self, Record, read_workload};
use crate::socket;

/// In most cases nothing is left of a container, and only the response is printed. Otherwise this executes the daemon's
/// program, which is able to do [`thoroughly`].
///
/// # Errors
/// When it cannot be executed.
pub fn delete(flags: &Flags) -> anyhow::Result<()> {
    let bundle = bundle(flags)?;
    if record::is_noted(&bundle) {
        return companion::execute(|program| Err(program.exec()));
    }
    log_failure(remove_dead_socket(&bundle));
    answer(0)
}

/// Kills the container's processes, removes what was made for it and prints a `DeleteResponse`.
///
/// # Errors
/// When the response cannot be printed. Failures of the clean-up are only logged.
pub fn thoroughly(flags: &Flags) -> anyhow::Result<()> {
    let bundle = bundle(flags)?;
    let mut pid = 0;
    match Record::read(&bundle) {
        Ok(Some(record)) => {
            pid = record.process.map_or(0, |process| process.pid);
            log_failure(
                read_workload(&flags.id, &bundle, record.options.clone())
                    .map(|workload| remove(&workload, &record)),
            );
        }
        Ok(None) => {}
        Err(error) => log_failure(Err(error)),
    }
    log_failure(remove_dead_socket(&bundle));
    answer(pid)
}

fn bundle(flags: &Flags) -> anyhow::Result<PathBuf> {
    match flags.bundle.as_str() {
        "" => std::env::current_dir().context("cannot find the path of the bundle"),
        bundle => Ok(PathBuf::from(bundle)),
    }
}

fn answer(pid: i32) -> anyhow::Result<()> {
    let response = DeleteResponse {
        pid: pid.cast_unsigned(),
        exit_status: 128 + libc::SIGKILL.cast_unsigned(),
        exited_at: MessageField::some(now()),
        ..DeleteResponse::default()
    };
    let bytes = response.write_to_bytes().context("cannot encode the answer")?;
    io::stdout().write_all(&bytes).context("cannot print the answer")
}

/// Takes the container down with the steps that the daemon uses, all in this process. A failing step does not stop the
/// others.
fn remove(workload: &Workload, record: &Record) {
    for step in steps(workload, record) {
        log_failure(match step {
            Step::Do(work) => work(),
            Step::DeleteNative => delete_native(workload),
            Step::Hooks { pid } => hooks::run(workload, Moment::Stopped, pid),
        });
    }
}

/// Removes a native container. If the daemon was killed while libcontainer was making it, libcontainer's processes go
/// on: what they make is removed once the last of them has exited.
fn delete_native(workload: &Workload) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (step, end) = (Duration::from_millis(10), Instant::now() + PATIENCE);
    while record::is_held(&workload.bundle) && Instant::now() < end {
        // Kills those that are in the cgroup by now.
        let _ = native::delete(workload);
        sleep(step);
    }
    native::delete(workload)?;
    ensure!(
        !record::is_held(&workload.bundle),
        "the container was still being made {PATIENCE:?} after its daemon's end; look for its cgroup"
    );
    Ok(())
}

/// Prints an error to standard error, which containerd logs. The response on standard output is printed all the same:
/// without it containerd keeps the bundle for ever.
fn log_failure(step: anyhow::Result<()>) {
    if let Err(error) = step {
        eprintln!("containerd-shim-lighter-v1 delete: {error:#}");
    }
}

/// Removes the pod's socket if no daemon listens on it any more: a killed daemon could not remove it.
fn remove_dead_socket(bundle: &Path) -> anyhow::Result<()> {
    let Ok(address) = fs::read_to_string(bundle.join("address")) else { return Ok(()) };
    let path = PathBuf::from(address.trim().trim_start_matches("unix://"));
    socket::remove_if_dead(&path).with_context(|| format!("cannot remove {}", path.display()))
}
