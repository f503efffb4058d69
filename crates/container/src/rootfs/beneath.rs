//! Finds and creates paths below a root, without ever leaving it, wherever the image's links lead.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

/// Finds `path` below `base`, following symbolic links as if `base` were the root. Opens it with `O_PATH`: opening a
/// device or a fifo of the image could have side effects.
pub(crate) fn find_in(base: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if path.as_os_str().is_empty() {
        return Ok(openat(CWD, base, flags, Mode::empty())?.into());
    }
    Ok(find_below(&open_directory(base)?, path)?.into())
}

/// Opens a directory to find paths in.
pub(crate) fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Finds `path` below an open directory, following links as if that were the root. See [`find_in`].
pub(crate) fn find_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    const TRIES: usize = 100;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let find = || openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    // With a `..` in the path, openat2 may fail with EAGAIN while anything on the host is renamed.
    let unsure = |found: &rustix::io::Result<_>| matches!(found, Err(Errno::AGAIN));
    (0..TRIES).map(|_| find()).find(|found| !unsure(found)).unwrap_or_else(find)
}

/// Finds or creates a directory below an open one, never outside.
pub(crate) fn find_or_make_directory(root: &OwnedFd, below: &Path) -> anyhow::Result<OwnedFd> {
    match find_below(root, below) {
        Err(Errno::NOENT) => {}
        found => return Ok(found?),
    }
    let name = below.file_name().context("its path has no end")?;
    let holder = holder(root, below)?;
    match mkdirat(holder.as_ref().unwrap_or(root), name, Mode::from_raw_mode(0o755)) {
        // EEXIST: a dangling link, which is not found below.
        Ok(()) | Err(Errno::EXIST) => Ok(find_below(root, below)?),
        Err(error) => Err(error.into()),
    }
}

/// The parent directory of a path; `None` for the root itself.
fn holder(root: &OwnedFd, below: &Path) -> anyhow::Result<Option<OwnedFd>> {
    let holder = below.parent().filter(|holder| !holder.as_os_str().is_empty());
    holder.map(|holder| find_or_make_directory(root, holder)).transpose()
}

/// Finds or creates the destination of a mount.
pub(crate) fn find_or_make(root: &OwnedFd, destination: &Path, directory: bool) -> anyhow::Result<OwnedFd> {
    let below = &cleaned(destination);
    ensure!(!below.as_os_str().is_empty(), "nothing can be mounted over the root");
    if directory {
        return find_or_make_directory(root, below);
    }
    match find_below(root, below) {
        Err(Errno::NOENT) => {}
        found => return Ok(found?),
    }
    let name = below.file_name().context("its path has no end")?;
    let holder = holder(root, below)?;
    let holder = holder.as_ref().unwrap_or(root);
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(openat(holder, name, new, Mode::from_raw_mode(0o644))?)
}

/// A destination below the root, as runc reads it: `..` removes the name before it.
fn cleaned(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => drop(below.pop()),
            _ => {}
        }
    }
    below
}

/// Opens a found path for reading, once it is known to be a file.
pub(crate) fn open_found(found: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_mount_covers_is_made_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("root/inner")).unwrap();
        fs::create_dir(at("outside")).unwrap();
        symlink("/inner", at("root/absolute")).unwrap();
        symlink("../../outside", at("root/escape")).unwrap();
        symlink("nowhere", at("root/dangling")).unwrap();
        let root = fs::File::open(at("root")).unwrap().into();
        let make = |path: &str, dir| find_or_make(&root, Path::new(path), dir).is_ok();
        assert!(make("/a/b/c", true) && at("root/a/b/c").is_dir());
        assert!(make("/a/b/file", false) && at("root/a/b/file").is_file());
        assert!(make("/absolute/deep/file", false) && at("root/inner/deep/file").is_file());
        assert!(make("/inner", true) && make("/a/b/file", false), "what is there is found");
        assert!(make("/a/../../inner/./new", true) && at("root/inner/new").is_dir());
        for refused in ["/", "/dangling", "/escape/x", "/dangling/x", "/a/b/file/x", "/a/.."] {
            assert!(!make(refused, true), "{refused}");
        }
        assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 0);
    }
}
