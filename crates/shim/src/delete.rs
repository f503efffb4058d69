//! `delete`: what containerd runs when a daemon is gone, to leave nothing of its container behind.

use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context;
use container::cgroup::Cgroup;
use container::hooks::{self, Moment};
use container::{native, rootfs};
use containerd_shim::Flags;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message, MessageField};
use workload::Workload;

use crate::record::{self, Record, read_workload};
use crate::task::now;

/// Kills the container's processes, removes what was made for it and prints a `DeleteResponse`.
///
/// # Errors
/// Names what would not go.
pub fn delete(flags: &Flags) -> anyhow::Result<()> {
    let bundle = match flags.bundle.as_str() {
        "" => std::env::current_dir().context("cannot tell the bundle's folder")?,
        bundle => PathBuf::from(bundle),
    };
    let mut pid = 0;
    if let Some(record) = Record::read(&bundle)? {
        if let Some(process) = record.process {
            process.kill();
            pid = process.pid;
        }
        let workload = read_workload(&flags.id, &bundle, record.options)?;
        remove(&workload, record.native, pid)?;
    }
    remove_dead_socket(&bundle)?;
    let response = DeleteResponse {
        pid: pid.cast_unsigned(),
        exit_status: 128 + libc::SIGKILL.cast_unsigned(),
        exited_at: MessageField::some(now()),
        ..DeleteResponse::default()
    };
    let bytes = response.write_to_bytes().context("cannot encode the answer")?;
    io::stdout().write_all(&bytes).context("cannot print the answer")
}

/// As the daemon would: this process has one thread, so it needs nobody to do it.
fn remove(workload: &Workload, native: bool, pid: i32) -> anyhow::Result<()> {
    let container = if native { native::delete(workload) } else { Ok(()) };
    // Also for a native container whose making was cut short, before libcontainer knew of it.
    let cgroup = Cgroup::of(workload).and_then(|cgroup| cgroup.remove());
    if !native {
        hooks::run(workload, Moment::Stopped, pid)?;
    }
    let unmounted = rootfs::unmount_all(&workload.rootfs());
    container.and(cgroup).and(unmounted).and_then(|()| record::forget(&workload.bundle))
}

/// Removes the pod's socket when nobody answers on it any more: the daemon that was killed could not.
fn remove_dead_socket(bundle: &Path) -> anyhow::Result<()> {
    let Ok(address) = fs::read_to_string(bundle.join("address")) else { return Ok(()) };
    let socket = PathBuf::from(address.trim().trim_start_matches("unix://"));
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if UnixStream::connect(&socket).is_err_and(refused) {
        fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
    }
    Ok(())
}
