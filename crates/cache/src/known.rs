//! The digests of files that were read before, so that they need not be read again.
//!
//! A file is identified by its metadata: device, inode, size, and the times of the last modification and change. Only
//! the kernel sets the last of these, at every write, so a file with the same identity has the same contents, unless
//! root changes the disk underneath or the clock. This is for files that no container can write to, on file systems
//! for which all this holds; only the caller knows which.
//!
//! The kernel numbers devices anew at each boot, so the entries of other boots are dropped.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::{Cache, Digest};

/// The kernel's unique id of this boot.
static BOOT: LazyLock<io::Result<String>> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|line| line.trim_end().to_owned())
});

/// The identity of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity(String);

/// Max number of known files; then all are forgotten, since those in use are soon known again.
const MAX_KNOWN: usize = 10_000;

impl FileIdentity {
    /// The identity of a file on a disk. Not for a file of an overlay, whose metadata is assembled at each look.
    pub fn of(file: &fs::Metadata) -> Self {
        Self(format!(
            "{:x}-{}-{}-{}.{:09}-{}.{:09}",
            file.dev(),
            file.ino(),
            file.len(),
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec()
        ))
    }
}

impl Cache {
    /// The digest of a file that was read before.
    pub fn known(&self, file: &FileIdentity) -> Option<Digest> {
        let target = fs::read_link(self.notes(BOOT.as_deref().ok()?).join(&file.0)).ok()?;
        let digest = target.to_str().filter(|text| text.len() == 64)?;
        digest.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Digest(digest.to_owned()))
    }

    /// Notes the digest of a file that was read.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn note(&self, file: &FileIdentity, digest: &Digest) -> io::Result<()> {
        let boot = BOOT
            .as_ref()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot identify this boot: {error}")))?;
        let dir = self.notes(boot);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => self.forget_boots_but(boot)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let notes: Vec<_> = fs::read_dir(&dir)?.flatten().collect();
        if notes.len() >= MAX_KNOWN {
            notes.iter().try_for_each(|note| absent(fs::remove_file(note.path())))?;
        }
        match symlink(&digest.0, dir.join(&file.0)) {
            // By another process that has read the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            noted => noted,
        }
    }

    /// Where the notes of a boot are.
    fn notes(&self, boot: &str) -> PathBuf {
        self.dir.join("known").join(boot)
    }

    /// Removes the notes of all other boots, and what older versions noted beside them.
    fn forget_boots_but(&self, boot: &str) -> io::Result<()> {
        let others = fs::read_dir(self.dir.join("known"))?.flatten();
        others.filter(|other| other.file_name() != *boot).try_for_each(|other| {
            let is_dir = other.file_type()?.is_dir();
            absent(if is_dir { fs::remove_dir_all(other.path()) } else { fs::remove_file(other.path()) })
        })
    }
}

/// Another process may have removed it.
pub(crate) fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_changed_file_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), 0).unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let identity = || FileIdentity::of(&path.metadata().unwrap());
        let digest = Digest::of(&File::open(&path).unwrap()).unwrap();
        assert_eq!(cache.known(&identity()), None);
        cache.note(&identity(), &digest).unwrap();
        cache.note(&identity(), &digest).unwrap();
        assert_eq!(cache.known(&identity()), Some(digest));
        fs::write(&path, "two").unwrap();
        assert_eq!(cache.known(&identity()), None);
    }

    #[test]
    fn what_is_no_digest_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 0).unwrap();
        let identity = FileIdentity("a".into());
        let notes = cache.notes(BOOT.as_ref().unwrap());
        fs::create_dir(&notes).unwrap();
        symlink("/etc/passwd", notes.join("a")).unwrap();
        assert_eq!(cache.known(&identity), None);
    }

    #[test]
    fn what_another_boot_noted_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 0).unwrap();
        let (identity, digest) = (FileIdentity("a".into()), Digest("0".repeat(64)));
        let (before, older) = (dir.path().join("known/before"), dir.path().join("known/a"));
        fs::create_dir(&before).unwrap();
        symlink(&digest.0, before.join("a")).unwrap();
        symlink(&digest.0, &older).unwrap();
        assert_eq!(cache.known(&identity), None);
        cache.note(&FileIdentity("b".into()), &digest).unwrap();
        assert!(!before.exists() && older.symlink_metadata().is_err());
        assert_eq!((cache.known(&identity), cache.known(&FileIdentity("b".into()))), (None, Some(digest)));
    }
}
