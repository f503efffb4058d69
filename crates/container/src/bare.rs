//! A mount namespace with hardly anything in it, for the nursery and all it bears.
//!
//! The kernel copies the mounts of a namespace with each new one: from here a birth costs the same on a node
//! with thousands. And a box that is being built has nothing of the host's in sight but what is said below.
//!
//! To make it, all mounts must be copied once. So the first pod's is kept, as a file, and those of all others
//! enter it. Nobody changes it: each box is born into a copy of its own.

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

/// An empty folder, for a box to attach its root to.
pub(crate) const PLACE: &str = "/box";

/// Where it is kept.
const KEPT: &str = "/run/lighter/bare";
/// The kernel's magic number of files that are namespaces, `linux/magic.h`.
const NSFS: u64 = 0x6e73_6673;

/// Leaves the host's mount namespace. In sight stay `/proc`, the devices of `/dev`, and `folder`, under its
/// own path.
///
/// # Errors
/// Names the step.
pub fn leave_host(folder: &Path) -> anyhow::Result<()> {
    match File::open(KEPT) {
        Ok(kept) if is_namespace(&kept) && enter_kept(&kept, folder)? => Ok(()),
        _ => make(folder),
    }
}

/// Enters the one that is kept, unless it is not what is wanted: made by another version, or where another
/// file system was mounted at `folder`.
fn enter_kept(kept: &File, folder: &Path) -> anyhow::Result<bool> {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let (host, wanted) = (host().context("cannot open the host's mount namespace")?, identity(folder));
    setns(kept, CloneFlags::CLONE_NEWNS).with_context(|| format!("cannot enter {KEPT}"))?;
    if identity(folder) == wanted && Path::new(PLACE).is_dir() {
        return Ok(true);
    }
    enter_host(host)?;
    Ok(false)
}

/// Keeps the namespace of the process `pid`, which made it, for those of other pods, if none is kept yet.
///
/// # Errors
/// Names the file.
pub fn keep(pid: i32) -> anyhow::Result<()> {
    let kept = || -> anyhow::Result<()> {
        let folder = Path::new(KEPT).parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let locked = File::open(folder)?;
        flock(&locked, FlockOperation::LockExclusive)?;
        if File::open(KEPT).is_ok_and(|kept| is_namespace(&kept)) {
            return Ok(());
        }
        File::create(KEPT)?;
        let namespace = format!("/proc/{pid}/ns/mnt");
        match mount_bind(&namespace, KEPT) {
            Err(Errno::INVAL) => {
                part(folder).context("cannot part it from the host's shared mounts")?;
                Ok(mount_bind(&namespace, KEPT)?)
            }
            bound => Ok(bound?),
        }
    };
    kept().with_context(|| format!("cannot keep the nursery's mount namespace at {KEPT}"))
}

/// Makes a folder a mount that is shared with nobody, onto itself: below those that are, as all of a host's with systemd,
/// the kernel takes no file of a mount namespace.
fn part(folder: &Path) -> anyhow::Result<()> {
    let own = trees::copy(folder, Depth::Top)?;
    trees::attach(&own, folder)?;
    // Afterwards, for it becomes what the mount below it is.
    trees::propagate(&own, MsFlags::MS_PRIVATE)
}

fn is_namespace(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(NSFS))
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for path in [Path::new("/proc"), Path::new("/dev"), folder] {
        let tree =
            trees::copy(path, Depth::Top).with_context(|| format!("cannot keep {}", path.display()))?;
        kept.push((path, tree));
    }
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    // What goes from here must not go from the host.
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

/// Makes an empty folder all that the caller has in sight, in a mount namespace of its own: of at most `bytes`,
/// writable by anybody, and gone with the process.
///
/// # Errors
/// Names the step.
pub(crate) fn work_apart(bytes: u64) -> anyhow::Result<()> {
    let folder = trees::fresh("tmpfs", "lighter", &["mode=777".into(), format!("size={bytes}")])
        .context("cannot make a folder to work in")?;
    trees::attach(&folder, Path::new(PLACE)).context("cannot attach the folder to work in")?;
    trees::pivot(&folder).context("cannot make the folder to work in the root")
}

/// The mount namespace of the caller, for those born in the bare one who have work in it.
///
/// # Errors
/// When `/proc` is out of sight.
pub fn host() -> io::Result<File> {
    File::open("/proc/self/ns/mnt")
}

/// Goes (back) to the mount namespace of [`host`].
///
/// # Errors
/// What the kernel says.
pub fn enter_host(host: impl AsFd) -> anyhow::Result<()> {
    setns(host, CloneFlags::CLONE_NEWNS).context("cannot enter the host's mount namespace")
}
