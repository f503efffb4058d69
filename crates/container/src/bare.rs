//! A nearly empty mount namespace, for the nursery and its children.
//!
//! The kernel copies a namespace's mounts for each new mount namespace. From here that costs the same on a node with
//! thousands of mounts, and a box under construction sees nothing of the host but what [`leave_host`] lists.
//!
//! Making it copies all mounts once, so the first pod pins its own as a file, and the nurseries of later pods enter
//! that. It is never changed: each box gets a copy of its own.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{FlockOperation, flock, fstatfs};
use rustix::io::Errno;
use rustix::mount::mount_bind;

use crate::trees::{self, Depth};

/// An empty directory for a box to attach its root to.
pub(crate) const PLACE: &str = "/box";

/// Where it is pinned.
const KEPT: &str = "/run/lighter/bare";
/// The magic number of nsfs, the file system of namespace files, `linux/magic.h`.
const NSFS: u64 = 0x6e73_6673;

/// Leaves the host's mount namespace. Only `/proc`, the devices of `/dev`, and `dir`, under its own path, stay visible.
///
/// # Errors
/// Names the step.
pub fn leave_host(dir: &Path) -> anyhow::Result<()> {
    match File::open(KEPT) {
        Ok(kept) if is_namespace(&kept) && enter_kept(&kept, dir)? => Ok(()),
        _ => make(dir),
    }
}

/// Enters the pinned one, unless it does not fit: another version made it, or another file system was mounted at `dir`.
fn enter_kept(kept: &File, dir: &Path) -> anyhow::Result<bool> {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let (host, wanted) = (host().context("cannot open the host's mount namespace")?, identity(dir));
    setns(kept, CloneFlags::CLONE_NEWNS).with_context(|| format!("cannot enter {KEPT}"))?;
    if identity(dir) == wanted && Path::new(PLACE).is_dir() {
        return Ok(true);
    }
    enter_host(host)?;
    Ok(false)
}

/// Pins the mount namespace of the process `pid`, which made it, for the nurseries of later pods, if none is pinned
/// yet.
///
/// # Errors
/// Names the file.
pub fn keep(pid: i32) -> anyhow::Result<()> {
    let kept = || -> anyhow::Result<()> {
        let dir = Path::new(KEPT).parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let locked = File::open(dir)?;
        flock(&locked, FlockOperation::LockExclusive)?;
        if File::open(KEPT).is_ok_and(|kept| is_namespace(&kept)) {
            return Ok(());
        }
        File::create(KEPT)?;
        let namespace = format!("/proc/{pid}/ns/mnt");
        match mount_bind(&namespace, KEPT) {
            Err(Errno::INVAL) => {
                part(dir).context("cannot part it from the host's shared mounts")?;
                Ok(mount_bind(&namespace, KEPT)?)
            }
            bound => Ok(bound?),
        }
    };
    kept().with_context(|| format!("cannot keep the nursery's mount namespace at {KEPT}"))
}

/// Makes a directory a private bind mount onto itself: the kernel mounts no mount-namespace file below a shared
/// mount, and with systemd all mounts of a host are shared.
fn part(dir: &Path) -> anyhow::Result<()> {
    let own = trees::copy(dir, Depth::Top)?;
    trees::attach(&own, dir)?;
    // After attaching, which gives it the propagation of the mount below.
    trees::propagate(&own, MsFlags::MS_PRIVATE)
}

fn is_namespace(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(NSFS))
}

fn make(dir: &Path) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for path in [Path::new("/proc"), Path::new("/dev"), dir] {
        let tree =
            trees::copy(path, Depth::Top).with_context(|| format!("cannot keep {}", path.display()))?;
        kept.push((path, tree));
    }
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    // Unmounts here must not propagate to the host.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mount namespace private")?;
    let root = trees::fresh("tmpfs", "lighter", &["mode=755".into(), "size=64k".into()])
        .context("cannot make a tmpfs")?;
    trees::attach(&root, Path::new("/proc"))
        .and_then(|()| trees::pivot(&root))
        .context("cannot change the nursery's root")?;
    fs::create_dir(PLACE).with_context(|| format!("cannot make {PLACE}"))?;
    for (path, tree) in kept {
        let attached = || -> io::Result<()> {
            fs::create_dir_all(path)?;
            Ok(trees::attach(&tree, path)?)
        };
        attached().with_context(|| format!("cannot attach {}", path.display()))?;
    }
    Ok(())
}

/// Makes an empty directory the root of the caller, which must be in a mount namespace of its own: a tmpfs of at most
/// `bytes`, writable by all users, which ends with the process.
///
/// # Errors
/// Names the step.
pub(crate) fn work_apart(bytes: u64) -> anyhow::Result<()> {
    let dir = trees::fresh("tmpfs", "lighter", &["mode=777".into(), format!("size={bytes}")])
        .context("cannot make a directory to work in")?;
    trees::attach(&dir, Path::new(PLACE)).context("cannot attach the directory to work in")?;
    trees::pivot(&dir).context("cannot make the directory to work in the root")
}

/// Opens the mount namespace of the caller, for processes in the bare one that need the host's.
///
/// # Errors
/// When `/proc` is not visible.
pub fn host() -> io::Result<File> {
    File::open("/proc/self/ns/mnt")
}

/// Enters the mount namespace of [`host`].
///
/// # Errors
/// The kernel's error.
pub fn enter_host(host: impl AsFd) -> anyhow::Result<()> {
    setns(host, CloneFlags::CLONE_NEWNS).context("cannot enter the host's mount namespace")
}
