//! Keeps the cache within its max size: the least recently used values go first.

use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::known::absent;
use crate::lock::take;
use crate::{Cache, Key};

/// After this time, a value that is still being written is considered abandoned.
const GIVEN_UP: Duration = Duration::from_secs(3600);

impl Cache {
    /// Removes what killed writers left, then values until there is room, except that of `newest`.
    pub(crate) fn make_room(&self, newest: &Key) -> anyhow::Result<()> {
        self.remove_some(newest).with_context(|| format!("cannot make room in {}", self.dir.display()))
    }

    fn remove_some(&self, newest: &Key) -> std::io::Result<()> {
        let old = |entry: &DirEntry| {
            let written = entry.metadata().and_then(|found| found.modified());
            written.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago > GIVEN_UP))
        };
        for entry in entries(&self.dir.join("fresh"))?.iter().filter(|entry| old(entry)) {
            absent(fs::remove_file(entry.path()))?;
        }
        for entry in entries(&self.dir.join("locks"))?.iter().filter(|entry| old(entry)) {
            // Left by a killed holder: taking and dropping the lock removes it.
            drop(take(&entry.path())?);
        }
        let mut values: Vec<(SystemTime, u64, DirEntry)> = entries(&self.dir.join("values"))?
            .into_iter()
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.blocks() * 512, entry))
            })
            .collect();
        values.sort_by_key(|(used, ..)| *used);
        let mut taken: u64 = values.iter().map(|(_, size, _)| size).sum();
        for (_, size, entry) in values {
            if taken <= self.max {
                break;
            }
            if entry.file_name() != *newest.0 {
                absent(fs::remove_file(entry.path()))?;
                taken -= size;
            }
        }
        Ok(())
    }
}

fn entries(dir: &Path) -> std::io::Result<Vec<DirEntry>> {
    fs::read_dir(dir)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn put(cache: &Cache, name: &str, size: usize) -> Key {
        let key = Key::of(&[name]);
        crate::draft::put(cache, &key, &vec![7; size], b"");
        key
    }

    #[test]
    fn the_value_used_longest_ago_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 300 << 10).unwrap();
        let [old, used] = ["old", "used"].map(|name| {
            let key = put(&cache, name, 100 << 10);
            let path = dir.path().join("values").join(&key.0);
            let day = Duration::from_secs(86_400);
            File::open(path).unwrap().set_modified(SystemTime::now() - day).unwrap();
            key
        });
        assert!(cache.get(&used).unwrap().is_some());
        let fresh = put(&cache, "fresh", 150 << 10);
        let there = [&old, &used, &fresh].map(|key| cache.get(key).unwrap().is_some());
        assert_eq!(there, [false, true, true]);
        // Larger than the max: it is kept, and goes with the next.
        let large = put(&cache, "large", 400 << 10);
        let there = [&used, &fresh, &large].map(|key| cache.get(key).unwrap().is_some());
        assert_eq!(there, [false, false, true]);
    }

    #[test]
    fn what_killed_writers_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 1 << 20).unwrap();
        let all = ["fresh/1-2", "locks/abc"].map(|name| dir.path().join(name));
        all.iter().for_each(|left| fs::write(left, "half").unwrap());
        put(&cache, "one", 10);
        assert!(all.iter().all(|left| left.exists()), "a writer may still be active");
        for left in &all {
            File::open(left).unwrap().set_modified(SystemTime::now() - 2 * GIVEN_UP).unwrap();
        }
        put(&cache, "two", 10);
        assert!(!all.iter().any(|left| left.exists()));
    }
}
