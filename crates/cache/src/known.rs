//! Files whose digest is known, so that they need not be read again.
//!
//! A file is called by what the kernel says of it: the disk, the number, the length, the times of its last
//! change. Nobody but the kernel sets the last of these, and it does with every write, so a file that is still
//! called the same holds the same, unless it is root who changes the disk beneath it or the clock. It is for
//! files that no container can write to.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::{Cache, Digest};

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
        let target = fs::read_link(self.folder.join("known").join(&file.0)).ok()?;
        let digest = target.to_str().filter(|text| text.len() == 64)?;
        digest.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Digest(digest.to_owned()))
    }

    /// Notes the digest of a file that was read.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn note(&self, file: &Identity, digest: &Digest) -> io::Result<()> {
        let folder = self.folder.join("known");
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
        symlink("/etc/passwd", folder.path().join("known/a")).unwrap();
        assert_eq!(cache.known(&identity), None);
    }
}
