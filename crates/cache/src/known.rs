//! Files whose digest is known, so that they need not be read again.
//!
//! A file is called by what the kernel says of it: the disk, the number, the length, the times of its last
//! change. Nobody but the kernel sets the last of these, and it does with every write, so a file that is still
//! called the same holds the same, unless it is root who changes the disk beneath it or the clock. It is for
//! files that no container can write to, on file systems of which all this is true: which are those, only the
//! caller can tell.
//!
//! The kernel numbers disks anew each time it boots, so what is known is forgotten then.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::{Cache, Digest};

/// What the kernel calls this boot, and nothing else ever.
static BOOT: LazyLock<io::Result<String>> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|line| line.trim_end().to_owned())
});

/// What a file is called by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(String);

/// How many files are known at most; then all are forgotten, for who is used is soon known again.
const MOST: usize = 10_000;

impl Identity {
    /// That of a file on a disk: not one that is put together from others when it is looked at, as in an
    /// overlay.
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
    pub fn known(&self, file: &Identity) -> Option<Digest> {
        let target = fs::read_link(self.notes(BOOT.as_deref().ok()?).join(&file.0)).ok()?;
        let digest = target.to_str().filter(|text| text.len() == 64)?;
        digest.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Digest(digest.to_owned()))
    }

    /// Notes the digest of a file that was read.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn note(&self, file: &Identity, digest: &Digest) -> io::Result<()> {
        let boot = BOOT.as_ref().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot tell this boot from others: {error}"))
        })?;
        let folder = self.notes(boot);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => self.forget_boots_but(boot)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let notes: Vec<_> = fs::read_dir(&folder)?.flatten().collect();
        if notes.len() >= MOST {
            notes.iter().try_for_each(|note| absent(fs::remove_file(note.path())))?;
        }
        match symlink(&digest.0, folder.join(&file.0)) {
            // By somebody who has read the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            noted => noted,
        }
    }

    /// Where the notes of a boot are.
    fn notes(&self, boot: &str) -> PathBuf {
        self.folder.join("known").join(boot)
    }

    /// Removes the notes of all other boots, and what older versions noted beside them.
    fn forget_boots_but(&self, boot: &str) -> io::Result<()> {
        let others = fs::read_dir(self.folder.join("known"))?.flatten();
        others.filter(|other| other.file_name() != *boot).try_for_each(|other| {
            let folder = other.file_type()?.is_dir();
            absent(if folder { fs::remove_dir_all(other.path()) } else { fs::remove_file(other.path()) })
        })
    }
}

/// Somebody else may have removed it.
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
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache"), 0).unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let identity = || Identity::of(&path.metadata().unwrap());
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
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 0).unwrap();
        let identity = Identity("a".into());
        let notes = cache.notes(BOOT.as_ref().unwrap());
        fs::create_dir(&notes).unwrap();
        symlink("/etc/passwd", notes.join("a")).unwrap();
        assert_eq!(cache.known(&identity), None);
    }

    #[test]
    fn what_another_boot_noted_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 0).unwrap();
        let (identity, digest) = (Identity("a".into()), Digest("0".repeat(64)));
        let (before, older) = (folder.path().join("known/before"), folder.path().join("known/a"));
        fs::create_dir(&before).unwrap();
        symlink(&digest.0, before.join("a")).unwrap();
        symlink(&digest.0, &older).unwrap();
        assert_eq!(cache.known(&identity), None);
        cache.note(&Identity("b".into()), &digest).unwrap();
        assert!(!before.exists() && older.symlink_metadata().is_err());
        assert_eq!((cache.known(&identity), cache.known(&Identity("b".into()))), (None, Some(digest)));
    }
}
