//! A mount namespace with hardly anything in it, for the nursery and all it bears.
//!
//! The kernel copies the mounts of a namespace with each new one: from here a birth costs the same on a node
//! with thousands. And a box that is being built has nothing of the host's in sight but what is said below.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use crate::trees::{self, Depth};

/// An empty folder, for a box to attach its root to.
pub(crate) const PLACE: &str = "/box";

/// Leaves the host's mount namespace. In sight stay `/proc`, the devices of `/dev`, and `folder`, under its
/// own path.
///
/// # Errors
/// Names the step.
pub fn leave_host(folder: &Path) -> anyhow::Result<()> {
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
    let pivoted = || {
        trees::attach(&root, Path::new("/proc"))?;
        fchdir(&root)?;
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        chdir("/")
    };
    pivoted().context("cannot change the nursery's root")?;
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
