//! The lock on making a value. It ends with the process that holds it, and leaves no file behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use crate::{Cache, Key};

/// The exclusive right to make the value of a key, until it is dropped or its holder ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Locked for as long as it is open.
    _file: File,
}

impl Cache {
    /// Takes the lock of `key`; `None` while another process holds it.
    ///
    /// # Errors
    /// When the lock cannot be taken.
    pub fn try_lock(&self, key: &Key) -> anyhow::Result<Option<Lock>> {
        let path = self.dir.join("locks").join(&key.0);
        take(&path).with_context(|| format!("cannot lock {}", path.display()))
    }
}

pub(crate) fn take(path: &Path) -> io::Result<Option<Lock>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // Its last holder may have removed the file after it was opened here: then this is not the lock.
    let same = path.metadata().is_ok_and(|named| file.metadata().is_ok_and(|own| own.ino() == named.ino()));
    Ok(same.then(|| Lock { path: path.into(), _file: file }))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked: no other process can hold this file, and one that opened it will see that it is gone. If it
        // cannot be removed, the next holder uses it.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn one_makes_a_value_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Cache::open(dir.path(), 0).unwrap(), Cache::open(dir.path(), 0).unwrap());
        let (key, another) = (Key::of(&["a"]), Key::of(&["b"]));
        let lock = one.try_lock(&key).unwrap();
        assert!(lock.is_some() && other.try_lock(&key).unwrap().is_none());
        assert!(other.try_lock(&another).unwrap().is_some());
        drop(lock);
        assert_eq!(fs::read_dir(dir.path().join("locks")).unwrap().count(), 0);
        assert!(other.try_lock(&key).unwrap().is_some());
    }

    #[test]
    fn many_that_want_it_never_have_it_together() {
        let dir = tempfile::tempdir().unwrap();
        let (path, inside) = (dir.path().join("lock"), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let Some(lock) = take(&path).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
