//! Detached mounts: opened or created by one process, and handed to the one that attaches them.

use std::fs;
use std::mem::size_of;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, anyhow};
use libcontainer::syscall::linux::{
    AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME, MountAttr,
};
use libcontainer::syscall::syscall::create_syscall;
use nix::mount::MsFlags;
use oci_spec::runtime::Mount;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use crate::sentence::sentence;
use crate::volumes::parse;

/// Nothing to change.
pub(crate) const UNCHANGED: MountAttr = MountAttr { attr_set: 0, attr_clr: 0, propagation: 0, userns_fd: 0 };

/// Which mounts of a tree an operation applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The topmost alone.
    Top,
    /// All.
    All,
}

/// A detached copy of the mount at `source`, or of the directory or file there.
///
/// # Errors
/// The kernel's error.
pub(crate) fn copy(source: &Path, depth: Depth) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let deep = if depth == Depth::All { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    open_tree(CWD, source, flags | deep)
}

/// A new, detached file system with the options `data`: each `key=value`, or a flag.
///
/// # Errors
/// The kernel's error.
pub(crate) fn fresh(kind: &str, source: &str, data: &[String]) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source)?;
    for option in data.iter().filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value)?,
            None => fsconfig_set_flag(&context, option.as_str())?,
        }
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// The detached mount that the spec asks for, from a bind in `opened` or a new file system.
///
/// # Errors
/// Names the option or the file system that the kernel refused.
pub(crate) fn as_asked(
    asked: &Mount,
    opened: Option<OwnedFd>,
    label: Option<&str>,
) -> anyhow::Result<OwnedFd> {
    let mut parsed = parse(asked)?;
    let tree = match opened {
        Some(tree) => tree,
        None => {
            let kind = asked.typ().as_deref().context("the mount has neither a type nor the option bind")?;
            let source = asked.source().as_deref().and_then(Path::to_str).unwrap_or(kind);
            parsed.data.extend(label_option(label));
            fresh(kind, source, &parsed.data).with_context(|| format!("cannot make a {kind}"))?
        }
    };
    set(&tree, Depth::Top, &attributes(parsed.flags))?;
    if let Some(of_all) = parsed.rec_attr {
        set(&tree, Depth::All, &of_all)?;
    }
    Ok(tree)
}

/// The mount option with the SELinux label of a new file system; `None` on a kernel without SELinux, which rejects it.
pub(crate) fn label_option(label: Option<&str>) -> Option<String> {
    let known = || fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("selinuxfs"));
    label.filter(|_| known()).map(|label| format!("context={label}"))
}

/// The flags of mount(2) as attributes of mount_setattr(2).
fn attributes(flags: MsFlags) -> MountAttr {
    const EACH: [(MsFlags, u64); 5] = [
        (MsFlags::MS_RDONLY, MOUNT_ATTR_RDONLY),
        (MsFlags::MS_NOSUID, MOUNT_ATTR_NOSUID),
        (MsFlags::MS_NODEV, MOUNT_ATTR_NODEV),
        (MsFlags::MS_NOEXEC, MOUNT_ATTR_NOEXEC),
        (MsFlags::MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
    ];
    // Mutually exclusive: one is set, and the others are cleared.
    const ACCESS_TIME: [(MsFlags, u64); 3] = [
        (MsFlags::MS_STRICTATIME, MOUNT_ATTR_STRICTATIME),
        (MsFlags::MS_NOATIME, MOUNT_ATTR_NOATIME),
        (MsFlags::MS_RELATIME, MOUNT_ATTR_RELATIME),
    ];
    let asked = |(flag, _): &&(MsFlags, u64)| flags.contains(*flag);
    let access_time = ACCESS_TIME.iter().find(asked);
    let each = EACH.iter().filter(asked);
    MountAttr {
        attr_set: each.chain(access_time).fold(0, |all, (_, attribute)| all | attribute),
        attr_clr: access_time.map_or(0, |_| MOUNT_ATTR__ATIME),
        ..UNCHANGED
    }
}

/// Sets the propagation of a tree's mounts.
///
/// # Errors
/// The kernel's error.
pub(crate) fn propagate(tree: &OwnedFd, flags: MsFlags) -> anyhow::Result<()> {
    let depth = if flags.contains(MsFlags::MS_REC) { Depth::All } else { Depth::Top };
    let propagation = (flags & !MsFlags::MS_REC).bits();
    set(tree, depth, &MountAttr { propagation, ..UNCHANGED })
}

/// Changes mounts of a tree.
///
/// # Errors
/// The kernel's error.
pub(crate) fn set(tree: &impl AsFd, depth: Depth, change: &MountAttr) -> anyhow::Result<()> {
    if *change == UNCHANGED {
        return Ok(());
    }
    let deep = if depth == Depth::All { AT_RECURSIVE } else { 0 };
    create_syscall()
        .mount_setattr(tree.as_fd(), Path::new(""), AT_EMPTY_PATH | deep, change, size_of::<MountAttr>())
        .map_err(|error| anyhow!("{}", sentence(&error)))
}

/// Adds attributes (`MOUNT_ATTR_*`) to mounts of a tree.
///
/// # Errors
/// The kernel's error.
pub(crate) fn add(tree: &impl AsFd, depth: Depth, attr_set: u64) -> anyhow::Result<()> {
    set(tree, depth, &MountAttr { attr_set, ..UNCHANGED })
}

/// Opens what is mounted at a path, without copying it.
///
/// # Errors
/// The kernel's error.
pub(crate) fn find(place: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Makes an attached tree the caller's root, and unmounts the old one.
///
/// # Errors
/// The kernel's error.
pub(crate) fn pivot(root: &OwnedFd) -> rustix::io::Result<()> {
    fchdir(root)?;
    // Stacks the old root on the new one, which needs no directory for it.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")
}

/// Attaches a tree at a path.
///
/// # Errors
/// The kernel's error.
pub(crate) fn attach(tree: &OwnedFd, target: &Path) -> rustix::io::Result<()> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Attaches a tree to an open file or directory.
///
/// # Errors
/// The kernel's error.
pub(crate) fn attach_onto(tree: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", both)
}
