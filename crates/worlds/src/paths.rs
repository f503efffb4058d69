//! Absolute symbolic links and read-only mounts as on Linux, for any engine.
//!
//! Engines resolve a path beneath the directory it is relative to, and take every absolute link for an escape
//! (`EPERM`). Images are full of them. A guest's process has the container's root as its own, so [`resolve`] follows
//! such a link from that root. What WASI itself refuses stays refused: absolute paths, paths that lead by `..` above
//! their start, and creating an absolute link.
//!
//! [`PathCall`] performs the calls of preview 1 that need only the kernel. For those that need its own table of
//! descriptors, the engine resolves the path and repeats its own call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat, readlinkat};
use rustix::{fs, io};

use crate::Memory;
use crate::socket::Errno;

/// The maximum number of links followed, as in path_resolution(7).
const MAX_LINKS: usize = 40;
/// Preview 1's `lookupflags::symlink_follow`.
pub const FOLLOW: u32 = 1;

/// A resolved path: a directory, and a name in it that is no link to be followed.
#[derive(Debug)]
pub struct ResolvedPath {
    /// Opened with `O_PATH`.
    pub directory: OwnedFd,
    /// One component, or `.`; with a trailing `/` if the path had one.
    pub name: String,
}

/// Resolves `path` from `base`; with `follow`, a link in its last component, too.
///
/// # Errors
/// `Perm` for a path that WASI refuses; the kernel's errors for a directory of the path.
pub fn resolve(base: BorrowedFd<'_>, path: &str, follow: bool) -> Result<ResolvedPath, Errno> {
    match path {
        "" => return Err(Errno::NoEnt),
        _ if path.starts_with('/') => return Err(Errno::Perm),
        _ => {}
    }
    // A trailing slash means a directory: a link is followed.
    let (is_directory, mut links) = (path.ends_with('/'), 0);
    let mut opened = DirectoryStack(vec![open(base, ".")?]);
    let mut ahead = parts(path);
    while let Some(part) = ahead.pop() {
        let last = ahead.is_empty();
        if part == ".." {
            opened.up()?;
            continue;
        }
        match readlinkat(opened.end(), &*part, Vec::new()) {
            Ok(target) if !last || follow || is_directory => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::Loop);
                }
                let target = target.into_string().map_err(|_| Errno::IlSeq)?;
                if target.starts_with('/') {
                    opened = DirectoryStack(vec![open(CWD, "/")?]);
                }
                ahead.extend(parts(&target));
            }
            // A link that is not followed, no link, or nothing yet.
            _ if last => {
                let name = if is_directory { part + "/" } else { part };
                return Ok(ResolvedPath { directory: opened.into_end(), name });
            }
            _ => opened.down(&part)?,
        }
    }
    Ok(ResolvedPath { directory: opened.into_end(), name: ".".to_owned() })
}

/// A path's components in reverse order.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

/// The open directories from the start of a path to the current component; never empty.
struct DirectoryStack(Vec<OwnedFd>);

impl DirectoryStack {
    fn end(&self) -> BorrowedFd<'_> {
        self.0[self.0.len() - 1].as_fd()
    }

    fn into_end(mut self) -> OwnedFd {
        self.0.swap_remove(self.0.len() - 1)
    }

    fn down(&mut self, part: &str) -> Result<(), Errno> {
        let child = open(self.end(), part)?;
        self.0.push(child);
        Ok(())
    }

    /// Goes to the parent directory, but not above the start.
    fn up(&mut self) -> Result<(), Errno> {
        if self.0.len() == 1 {
            return Err(Errno::Perm);
        }
        self.0.pop();
        Ok(())
    }
}

/// Opens a directory; does not follow a link.
fn open(base: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(io::retry_on_intr(|| openat(base, name, flags, Mode::empty()))?)
}

impl ResolvedPath {
    /// Whether it is on a read-only mount. If it does not exist, its directory decides.
    pub fn is_read_only(&self) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let itself = openat(&self.directory, &*self.name, flags, Mode::empty());
        let existing = itself.as_ref().unwrap_or(&self.directory);
        fstatvfs(existing).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// The target of the link.
    ///
    /// # Errors
    /// Those of readlink(2); `IlSeq` for a target that is not UTF-8.
    pub fn target(&self) -> Result<String, Errno> {
        let target = readlinkat(&self.directory, &*self.name, Vec::new())?;
        target.into_string().map_err(|_| Errno::IlSeq)
    }
}

/// A path function of preview 1 that needs only the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is preview 1's function path_NAME")]
pub enum PathCall {
    CreateDirectory,
    Link,
    Readlink,
    RemoveDirectory,
    Rename,
    Symlink,
    UnlinkFile,
}

impl PathCall {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CreateDirectory,
        Self::Link,
        Self::Readlink,
        Self::RemoveDirectory,
        Self::Rename,
        Self::Symlink,
        Self::UnlinkFile,
    ];

    /// The import's name, its number of parameters, and which of them are descriptors of directories.
    pub fn import(self) -> (&'static str, usize, &'static [usize]) {
        match self {
            Self::CreateDirectory => ("path_create_directory", 3, &[0]),
            Self::Link => ("path_link", 7, &[0, 4]),
            Self::Readlink => ("path_readlink", 6, &[0]),
            Self::RemoveDirectory => ("path_remove_directory", 3, &[0]),
            Self::Rename => ("path_rename", 6, &[0, 3]),
            Self::Symlink => ("path_symlink", 5, &[2]),
            Self::UnlinkFile => ("path_unlink_file", 3, &[0]),
        }
    }

    /// Performs the call. `directories` are those of the guest's descriptors, in the order of [`import`](Self::import).
    ///
    /// # Errors
    /// Those of preview 1.
    pub fn perform(
        self,
        memory: &mut Memory<'_>,
        directories: &[BorrowedFd<'_>],
        arguments: &[u32],
    ) -> Result<(), Errno> {
        let resolved = |nth: usize, path: (u32, u32), follow: bool| {
            let base = directories.get(nth).ok_or(Errno::Inval)?;
            resolve(*base, text(memory, path)?, follow)
        };
        match (self, arguments) {
            (Self::CreateDirectory, &[_, path, length]) => {
                let new = resolved(0, (path, length), false)?;
                Ok(fs::mkdirat(new.directory, &*new.name, Mode::from(0o777))?)
            }
            (Self::Link, &[_, flags, old, old_length, _, new, new_length]) => {
                let old = resolved(0, (old, old_length), flags & FOLLOW != 0)?;
                let new = resolved(1, (new, new_length), false)?;
                Ok(fs::linkat(old.directory, &*old.name, new.directory, &*new.name, AtFlags::empty())?)
            }
            (Self::Readlink, &[_, path, length, buffer, room, size]) => {
                let target = resolved(0, (path, length), false)?.target()?;
                let target = &target.as_bytes()[..target.len().min(room as usize)];
                memory.place::<4>(size)?;
                memory.bytes_mut(buffer, target.len() as u32)?.copy_from_slice(target);
                Ok(memory.put(size, (target.len() as u32).to_le_bytes())?)
            }
            (Self::RemoveDirectory, &[_, path, length]) => {
                let old = resolved(0, (path, length), false)?;
                Ok(fs::unlinkat(old.directory, &*old.name, AtFlags::REMOVEDIR)?)
            }
            (Self::Rename, &[_, old, old_length, _, new, new_length]) => {
                let (old, new) =
                    (resolved(0, (old, old_length), false)?, resolved(1, (new, new_length), false)?);
                Ok(fs::renameat(old.directory, &*old.name, new.directory, &*new.name)?)
            }
            (Self::Symlink, &[target, target_length, _, path, length]) => {
                let target = text(memory, (target, target_length))?.to_owned();
                if target.starts_with('/') {
                    return Err(Errno::Perm);
                }
                let new = resolved(0, (path, length), false)?;
                Ok(fs::symlinkat(&*target, new.directory, &*new.name)?)
            }
            (Self::UnlinkFile, &[_, path, length]) => {
                let old = resolved(0, (path, length), false)?;
                Ok(fs::unlinkat(old.directory, &*old.name, AtFlags::empty())?)
            }
            _ => Err(Errno::Inval),
        }
    }
}

/// A path in the guest's memory.
///
/// # Errors
/// `Fault` outside of its memory, `IlSeq` if it is not UTF-8.
pub fn text<'a>(memory: &'a Memory<'_>, (at, length): (u32, u32)) -> Result<&'a str, Errno> {
    std::str::from_utf8(memory.bytes(at, length)?).map_err(|_| Errno::IlSeq)
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, write};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_resolve_as_in_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir(at("real")).unwrap();
        create_dir(at("base")).unwrap();
        write(at("real/file"), "").unwrap();
        for (link, target) in [
            ("base/abs", at("real")),
            ("base/up", "../real".into()),
            ("base/in", "abs/../real/file".into()),
            ("base/twice", "abs/file".into()),
            ("base/new", at("real/new")),
            ("base/round", "round".into()),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let base = File::open(at("base")).unwrap();
        let ends = |path: &str, follow| {
            let resolved = resolve(base.as_fd(), path, follow)?;
            let there = |directory: &str| {
                let [there, found] =
                    [File::open(at(directory)).unwrap().into(), resolved.directory.try_clone().unwrap()]
                        .map(|directory: OwnedFd| fs::fstat(directory).unwrap().st_ino);
                there == found
            };
            let directory = ["base", "real", "."].into_iter().find(|directory| there(directory));
            Ok((directory.unwrap_or("elsewhere").to_owned(), resolved.name))
        };
        let end = |directory: &str, name: &str| Ok((directory.to_owned(), name.to_owned()));
        assert_eq!(ends("abs/file", false), end("real", "file"));
        assert_eq!(ends("abs/new/", false), end("real", "new/"));
        assert_eq!(ends(".//in", true), end("real", "file"), "relative to the link's target");
        assert_eq!(ends("twice", true), end("real", "file"));
        assert_eq!(ends("twice", false), end("base", "twice"));
        assert_eq!(ends("new", true), end("real", "new"), "nothing is there yet");
        assert_eq!(ends("abs", true), end(".", "real"));
        assert_eq!(ends("abs/", false), end(".", "real/"), "a trailing slash follows the link");
        assert_eq!(ends("abs/..", true), end(".", "."));
        assert_eq!(ends(".", true), end("base", "."));
        assert_eq!(ends("name..", true), end("base", "name.."));
        for (path, errno) in [
            ("round", Errno::Loop),
            ("none/file", Errno::NoEnt),
            ("", Errno::NoEnt),
            ("twice/file", Errno::NotDir),
            ("..", Errno::Perm),
            ("up", Errno::Perm),
            ("up/file", Errno::Perm),
            ("/", Errno::Perm),
        ] {
            assert_eq!(ends(path, true), Err(errno), "{path:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_arguments_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
            arguments in proptest::collection::vec(0..80u32, 0..8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let base = File::open(dir.path()).unwrap();
            // Without links, no path leads out of this directory.
            for call in PathCall::ALL.into_iter().filter(|call| *call != PathCall::Symlink) {
                let mut bytes = bytes.clone();
                let _ = call.perform(&mut Memory::new(&mut bytes), &[base.as_fd(), base.as_fd()], &arguments);
            }
        }
    }
}
