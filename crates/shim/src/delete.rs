//! `delete`: what containerd runs when a daemon is gone, to leave nothing of its container behind.

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

/// After most containers nothing is left: then there is only to answer. Else the daemon's program takes over,
/// which has what it needs for [`thoroughly`].
///
/// # Errors
/// When it cannot be executed.
pub fn delete(flags: &Flags) -> anyhow::Result<()> {
    let bundle = bundle(flags)?;
    if record::is_noted(&bundle) {
        return companion::execute(|program| Err(program.exec()));
    }
    tell(remove_dead_socket(&bundle));
    answer(0)
}

/// Kills the container's processes, removes what was made for it and prints a `DeleteResponse`.
///
/// # Errors
/// Names what would not go.
pub fn thoroughly(flags: &Flags) -> anyhow::Result<()> {
    let bundle = bundle(flags)?;
    let mut pid = 0;
    match Record::read(&bundle) {
        Ok(Some(record)) => {
            pid = record.process.map_or(0, |process| process.pid);
            tell(
                read_workload(&flags.id, &bundle, record.options.clone())
                    .map(|workload| remove(&workload, &record)),
            );
        }
        Ok(None) => {}
        Err(error) => tell(Err(error)),
    }
    tell(remove_dead_socket(&bundle));
    answer(pid)
}

fn bundle(flags: &Flags) -> anyhow::Result<PathBuf> {
    match flags.bundle.as_str() {
        "" => std::env::current_dir().context("cannot tell the bundle's folder"),
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

/// As the daemon would, in a process that needs no other to do it. Each step is tried, whatever
/// becomes of the others.
fn remove(workload: &Workload, record: &Record) {
    for step in steps(workload, record) {
        tell(match step {
            Step::Do(work) => work(),
            Step::DeleteNative => delete_native(workload),
            Step::Hooks { pid } => hooks::run(workload, Moment::Stopped, pid),
        });
    }
}

/// The daemon may have been killed while libcontainer was making the container, in processes of its own that go on. What
/// they make is removed when the last of them is gone.
fn delete_native(workload: &Workload) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let (step, end) = (Duration::from_millis(10), Instant::now() + PATIENCE);
    while record::is_held(&workload.bundle) && Instant::now() < end {
        // Ends those of them that have come into the cgroup.
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

/// Says on standard error, which containerd logs, what went wrong. The answer on standard output is due
/// all the same: without it containerd keeps the bundle for ever.
fn tell(step: anyhow::Result<()>) {
    if let Err(error) = step {
        eprintln!("containerd-shim-lighter-v1 delete: {error:#}");
    }
}

/// Removes the pod's socket when nobody answers on it any more: the daemon that was killed could not.
fn remove_dead_socket(bundle: &Path) -> anyhow::Result<()> {
    let Ok(address) = fs::read_to_string(bundle.join("address")) else { return Ok(()) };
    let path = PathBuf::from(address.trim().trim_start_matches("unix://"));
    socket::remove_if_dead(&path).with_context(|| format!("cannot remove {}", path.display()))
}
