//! What could not be made, and why: asked for again soon after, it is not tried again.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

use crate::known::absent;
use crate::{Cache, Key};

/// How long it is remembered.
const KEPT: Duration = Duration::from_secs(300);
/// How many are remembered at most; then all are forgotten.
const MOST: usize = 1000;
/// How many bytes of each reason.
const LONGEST: usize = 16 << 10;

/// Why a value could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence.
    pub reason: String,
    /// How long ago that was.
    pub ago: Duration,
    /// How long until it may be tried again.
    pub left: Duration,
}

impl Cache {
    /// Why the value of `key` could not be made a short time ago.
    pub fn failure(&self, key: &Key) -> Option<Failure> {
        let path = self.folder.join("failed").join(&key.0);
        let made = path.symlink_metadata().and_then(|found| found.modified()).ok()?;
        // From the future, by a clock that was set, it would never end.
        let ago = SystemTime::now().duration_since(made).ok()?;
        let left = KEPT.checked_sub(ago).filter(|left| !left.is_zero())?;
        let reason = fs::read_to_string(&path).ok().filter(|reason| !reason.is_empty())?;
        Some(Failure { reason, ago, left })
    }

    /// Remembers why the value of `key` cannot be made.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn remember_failure(&self, key: &Key, reason: &str) -> io::Result<()> {
        let folder = self.folder.join("failed");
        let notes: Vec<_> = fs::read_dir(&folder)?.flatten().collect();
        let old = |note: &fs::DirEntry| {
            let made = note.metadata().and_then(|found| found.modified());
            made.is_ok_and(|made| made.elapsed().is_ok_and(|ago| ago >= KEPT))
        };
        let full = notes.len() >= MOST;
        let mut going = notes.iter().filter(|note| full || old(note));
        going.try_for_each(|note| absent(fs::remove_file(note.path())))?;
        let path = folder.join(&key.0);
        absent(fs::remove_file(&path))?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&reason.as_bytes()[..reason.floor_char_boundary(LONGEST)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 0).unwrap();
        (folder, cache)
    }

    #[test]
    fn a_failure_is_remembered_for_some_minutes() {
        let (folder, cache) = cache();
        let (key, other) = (Key::of(&["a"]), Key::of(&["b"]));
        assert_eq!(cache.failure(&key), None);
        cache.remember_failure(&key, "too large").unwrap();
        cache.remember_failure(&key, "far too large").unwrap();
        let failure = cache.failure(&key).unwrap();
        assert_eq!((failure.reason.as_str(), failure.left <= KEPT), ("far too large", true));
        assert_eq!(cache.failure(&other), None);
        let note = fs::File::options().write(true).open(folder.path().join("failed").join(&key.0)).unwrap();
        for then in [SystemTime::now() - KEPT, SystemTime::now() + KEPT] {
            note.set_modified(then).unwrap();
            assert_eq!(cache.failure(&key), None, "it is tried again");
        }
    }

    #[test]
    fn neither_many_nor_long_ones_fill_the_disk() {
        let (folder, cache) = cache();
        for number in 0..=MOST {
            cache.remember_failure(&Key::of(&[&number.to_string()]), "x").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path().join("failed")).unwrap().count(), 1);
        let key = Key::of(&["long"]);
        cache.remember_failure(&key, &"ü".repeat(LONGEST)).unwrap();
        assert_eq!(cache.failure(&key).unwrap().reason.len(), LONGEST);
    }
}
