//! The bundle of a case: an image with a bit of everything, mounted as containerd's overlay snapshotter asks, and what is
//! to be its volumes. All of it on a file system that only the case sees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use container::rootfs::{self, Snapshot};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use workload::Workload;

/// What every case's spec begins as.
pub const SPEC: &str = r#"{
    "ociVersion": "1.0.2", "hostname": "in-the-box", "root": {"path": "rootfs"},
    "process": {"user": {"uid": 1000, "gid": 2000}, "cwd": "/", "args": ["/app.wasm", "one"], "env": ["A=b"]},
    "linux": {"cgroupsPath": "@CGROUP", "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"},
        {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}]}
}"#;
/// In a spec, the cgroup of the case.
pub const CGROUP: &str = "@CGROUP";
/// In a spec, the folder with the namespaces of a process that stands for the pod's first. There is one if it is named.
pub const POD: &str = "@POD";

/// In a spec, the bundle's folder.
pub const BUNDLE: &str = "@BUNDLE";

/// This run's cgroup; its cases have it one after the other.
pub fn cgroup() -> String {
    // A case's process is not the run's.
    static RUN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    format!("/lighter-boxes-{}", RUN.get_or_init(std::process::id))
}

/// Leaves the host's mounts, and covers `folder`.
pub fn hide_mounts(folder: &Path) -> Result<()> {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("cannot part from the host's mounts")?;
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), nothing).context("cannot mount a tmpfs")
}

/// Fills the bundle, and mounts the snapshot.
pub fn make(workload: &Workload) -> Result<()> {
    let at = |path: &str| workload.bundle.join(path);
    for folder in ["image/etc", "image/data", "upper", "work", "volume/inner", "outside"] {
        fs::create_dir_all(at(folder))?;
    }
    for (file, text) in [
        ("image/app.wasm", "\0asm"),
        ("image/data/file", "of the image"),
        ("volume/file", "of the volume"),
        ("outside/file", "of the host"),
        ("resolv.conf", "nameserver 192.0.2.1"),
    ] {
        fs::write(at(file), text)?;
    }
    symlink("../../outside", at("image/escape"))?;
    symlink("/data", at("image/link"))?;
    // The same device as /dev/null, wherever an image or a volume may bring one.
    for node in ["image/node", "volume/node"] {
        mknod(&at(node), SFlag::S_IFCHR, Mode::empty(), makedev(1, 3))?;
        fs::set_permissions(at(node), fs::Permissions::from_mode(0o666))?;
    }
    let root = workload.host_uid_of_root();
    for folder in ["image", "image/etc", "image/data", "upper"] {
        chown(at(folder), Some(root), Some(root))?;
    }
    mount(Some("tmpfs"), &at("volume/inner"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let options = ["lowerdir", "upperdir", "workdir"].into_iter().zip(["image", "upper", "work"]);
    let options: Vec<_> = options.map(|(key, folder)| format!("{key}={}", at(folder).display())).collect();
    let snapshot = Snapshot { kind: "overlay", source: "overlay", options: &options };
    rootfs::mount_snapshot(snapshot, &workload.rootfs())
}

trait Mapped {
    /// Whom the host knows as the container's root.
    fn host_uid_of_root(&self) -> u32;
}

impl Mapped for Workload {
    fn host_uid_of_root(&self) -> u32 {
        let maps = self.spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_ref());
        maps.into_iter().flatten().find(|map| map.container_id() == 0).map_or(0, |map| map.host_id())
    }
}
