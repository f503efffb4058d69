//! Remembers what could not be made, and why, so that it is not tried again soon after.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

use crate::known::absent;
use crate::{Cache, Key};

/// How long a failure is remembered.
const KEPT: Duration = Duration::from_secs(300);
/// Max number of failures; then all are forgotten.
const MAX_FAILURES: usize = 1000;
/// Max length of a reason, in bytes.
const LONGEST: usize = 16 << 10;

/// Why a value could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence.
    pub reason: String,
    /// How long ago it failed.
    pub ago: Duration,
    /// How long until it is tried again.
    pub left: Duration,
}

impl Cache {
    /// Why the value of `key` could not be made recently.
    pub fn failure(&self, key: &Key) -> Option<Failure> {
        let path = self.dir.join("failed").join(&key.0);
        let made = path.symlink_metadata().and_then(|found| found.modified()).ok()?;
        // With a time in the future, after the clock was set back, it would never expire.
        let ago = SystemTime::now().duration_since(made).ok()?;
        let left = KEPT.checked_sub(ago).filter(|left| !left.is_zero())?;
        let reason = fs::read_to_string(&path).ok().filter(|reason| !reason.is_empty())?;
        Some(Failure { reason, ago, left })
    }

    /// Remembers why the value of `key` could not be made.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn remember_failure(&self, key: &Key, reason: &str) -> io::Result<()> {
        let dir = self.dir.join("failed");
        let notes: Vec<_> = fs::read_dir(&dir)?.flatten().collect();
        let old = |note: &fs::DirEntry| {
            let made = note.metadata().and_then(|found| found.modified());
            made.is_ok_and(|made| made.elapsed().is_ok_and(|ago| ago >= KEPT))
        };
        let full = notes.len() >= MAX_FAILURES;
        let mut going = notes.iter().filter(|note| full || old(note));
        going.try_for_each(|note| absent(fs::remove_file(note.path())))?;
        let path = dir.join(&key.0);
        absent(fs::remove_file(&path))?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&reason.as_bytes()[..reason.floor_char_boundary(LONGEST)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 0).unwrap();
        (dir, cache)
    }

    #[test]
    fn a_failure_is_remembered_for_some_minutes() {
        let (dir, cache) = cache();
        let (key, other) = (Key::of(&["a"]), Key::of(&["b"]));
        assert_eq!(cache.failure(&key), None);
        cache.remember_failure(&key, "too large").unwrap();
        cache.remember_failure(&key, "far too large").unwrap();
        let failure = cache.failure(&key).unwrap();
        assert_eq!((failure.reason.as_str(), failure.left <= KEPT), ("far too large", true));
        assert_eq!(cache.failure(&other), None);
        let note = fs::File::options().write(true).open(dir.path().join("failed").join(&key.0)).unwrap();
        for then in [SystemTime::now() - KEPT, SystemTime::now() + KEPT] {
            note.set_modified(then).unwrap();
            assert_eq!(cache.failure(&key), None, "it is tried again");
        }
    }

    #[test]
    fn neither_many_nor_long_ones_fill_the_disk() {
        let (dir, cache) = cache();
        for number in 0..=MAX_FAILURES {
            cache.remember_failure(&Key::of(&[&number.to_string()]), "x").unwrap();
        }
        assert_eq!(fs::read_dir(dir.path().join("failed")).unwrap().count(), 1);
        let key = Key::of(&["long"]);
        cache.remember_failure(&key, &"ü".repeat(LONGEST)).unwrap();
        assert_eq!(cache.failure(&key).unwrap().reason.len(), LONGEST);
    }
}
