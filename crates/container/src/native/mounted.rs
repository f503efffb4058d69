//! Completes the mounts of a new Linux container in its own mount namespace, before its program runs: sets what
//! libcontainer leaves out.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use libcontainer::syscall::linux::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use nix::sched::{CloneFlags, setns};
use oci_spec::runtime::{Capability, Mount, Spec};
use rustix::fs::fstatfs;
use workload::Workload;

use super::spec::{cgroups_of_v1, is_cgroup};
use crate::cgroup::CgroupDirs;
use crate::namespaces::Namespaces;
use crate::trees::{self, Depth};

/// The kernel's magic number, `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// Completes the mounts of the container whose first process is `pid`. Must be the last step of a short-lived
/// process: it stays in the container's namespace.
///
/// # Errors
/// Names the mount.
pub(super) fn complete(workload: &Workload, namespaces: &Namespaces, pid: i32) -> anyhow::Result<()> {
    let spec = &workload.spec;
    let cgroups = cgroups_of_v1(workload)?;
    let without_devices = needs_no_devices(spec);
    if !namespaces.new_mount() || (cgroups.is_none() && !without_devices) {
        return Ok(());
    }
    let entered = || -> anyhow::Result<()> {
        Ok(setns(File::open(format!("/proc/{pid}/ns/mnt"))?, CloneFlags::CLONE_NEWNS)?)
    };
    entered().context("cannot enter the container's mount namespace")?;
    if without_devices {
        change(Path::new("/"), MOUNT_ATTR_NODEV).context("cannot forbid devices in the root")?;
    }
    let mounts = spec.mounts().iter().flatten().filter(|mount| is_cgroup(mount));
    for (mount, dirs) in mounts.flat_map(|mount| cgroups.iter().map(move |dirs| (mount, dirs))) {
        let place = mount.destination();
        finish_cgroup(mount, dirs)
            .with_context(|| format!("cannot mount the cgroups at {}", place.display()))?;
    }
    Ok(())
}

/// Whether no device in the root file system itself can be meant for the container: its /dev is another file system,
/// and it may not create devices.
fn needs_no_devices(spec: &Spec) -> bool {
    let apart = spec.mounts().iter().flatten().any(|mount| mount.destination() == Path::new("/dev"));
    let granted = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    let bounding = granted.and_then(|granted| granted.bounding().as_ref());
    apart && granted.is_some() && !bounding.is_some_and(|all| all.contains(&Capability::Mknod))
}

/// Completes the directory that holds the cgroup mounts: a symlink for each controller of a hierarchy that has
/// several, and the spec's `ro`, which would have prevented the mounts.
fn finish_cgroup(mount: &Mount, dirs: &CgroupDirs) -> anyhow::Result<()> {
    let place = mount.destination();
    let found = trees::find(place)?;
    if fstatfs(&found)?.f_type != TMPFS {
        // The spec mounts something else over it.
        return Ok(());
    }
    for (controllers, name) in dirs.hierarchies().filter(|(controllers, _)| controllers.len() > 1) {
        for controller in controllers {
            match symlink(&name, place.join(controller)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
    }
    let read_only = mount.options().iter().flatten().any(|option| option == "ro");
    if read_only { change(place, MOUNT_ATTR_RDONLY) } else { Ok(()) }
}

fn change(place: &Path, attr_set: u64) -> anyhow::Result<()> {
    trees::add(&trees::find(place)?, Depth::Top, attr_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_in_the_root_are_for_whom_they_may_be_meant() {
        let check = |mounts: &str, bounding: &str, expected: bool| {
            let spec: Spec = serde_json::from_str(&format!(
                r#"{{"ociVersion":"1.0.2","mounts":[{mounts}],"process":{{"user":{{"uid":0,"gid":0}},"cwd":"/",
                    "capabilities":{{"bounding":[{bounding}]}}}}}}"#
            ))
            .unwrap();
            assert_eq!(needs_no_devices(&spec), expected, "{mounts} {bounding}");
        };
        let dev = r#"{"destination":"/dev","type":"tmpfs"}"#;
        check(dev, "", true);
        check(dev, r#""CAP_CHOWN""#, true);
        check(dev, r#""CAP_MKNOD""#, false);
        check("", "", false);
    }
}
