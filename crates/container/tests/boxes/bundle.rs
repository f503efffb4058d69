//! The bundle of a case: an image with a bit of everything, mounted as containerd's overlay snapshotter asks, and the
//! sources of its volumes. All on a file system that only the case sees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use container::rootfs::{self, Snapshot};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use workload::Workload;

/// The spec that every case patches.
pub const SPEC: &str = r#"{
    "ociVersion": "1.0.2", "hostname": "in-the-box", "root": {"path": "rootfs"},
    "process": {"user": {"uid": 1000, "gid": 2000}, "cwd": "/", "args": ["/app.wasm", "one"], "env": ["A=b"]},
    "linux": {"cgroupsPath": "@CGROUP", "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"},
        {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}]}
}"#;
/// Stands in a spec for the case's cgroup.
pub const CGROUP: &str = "@CGROUP";
/// Stands in a spec for the directory with the namespaces of a pod's first process, which is created only for specs
/// that name it.
pub const POD: &str = "@POD";

/// Stands in a spec for the bundle's directory.
pub const BUNDLE: &str = "@BUNDLE";

/// The cgroup of this run; its cases use it one after the other.
pub fn cgroup() -> String {
    // Fixed by the first call: a case's process has another pid.
    static RUN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    format!("/lighter-boxes-{}", RUN.get_or_init(std::process::id))
}

/// Leaves the host's mount namespace, and covers `dir`.
pub fn hide_mounts(dir: &Path) -> Result<()> {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("cannot part from the host's mounts")?;
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), nothing).context("cannot mount a tmpfs")
}

/// Fills the bundle and mounts the snapshot.
pub fn make(workload: &Workload) -> Result<()> {
    let at = |path: &str| workload.bundle.join(path);
    for dir in ["image/etc", "image/data", "upper", "work", "volume/inner", "outside"] {
        fs::create_dir_all(at(dir))?;
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
    // The same device as /dev/null, in the image and in a volume.
    for node in ["image/node", "volume/node"] {
        mknod(&at(node), SFlag::S_IFCHR, Mode::empty(), makedev(1, 3))?;
        fs::set_permissions(at(node), fs::Permissions::from_mode(0o666))?;
    }
    let root = workload.host_uid_of_root();
    for dir in ["image", "image/etc", "image/data", "upper"] {
        chown(at(dir), Some(root), Some(root))?;
    }
    mount(Some("tmpfs"), &at("volume/inner"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let options = ["lowerdir", "upperdir", "workdir"].into_iter().zip(["image", "upper", "work"]);
    let options: Vec<_> = options.map(|(key, dir)| format!("{key}={}", at(dir).display())).collect();
    let snapshot = Snapshot { kind: "overlay", source: "overlay", options: &options };
    rootfs::mount_snapshot(snapshot, &workload.rootfs())
}

trait Mapped {
    /// The host's uid of the container's root.
    fn host_uid_of_root(&self) -> u32;
}

impl Mapped for Workload {
    fn host_uid_of_root(&self) -> u32 {
        let maps = self.spec.linux().as_ref().and_then(|linux| linux.uid_mappings().as_ref());
        maps.into_iter().flatten().find(|map| map.container_id() == 0).map_or(0, |map| map.host_id())
    }
}
