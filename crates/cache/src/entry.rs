//! One value in a file: the bytes, at the beginning so that they can be mapped as they are, a note of the value's
//! maker, and a seal:
//!
//! ```text
//! value │ note │ SHA-256 of key, value and note │ length of the value, u64 │ of the note, u64 │ magic
//! ```
//!
//! Written by `draft`.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{Cache, Key, each_part};

/// The last bytes of a value's file. The digit changes with the format.
pub(crate) const MAGIC: &[u8; 8] = b"lighter1";
/// Digest, two lengths and the magic.
const SEAL: u64 = 32 + 8 + 8 + 8;
/// Max length of a note, in bytes.
const LONGEST_NOTE: u64 = 64 << 10;
/// The precision of the time of last use.
const USED: Duration = Duration::from_secs(3600);

/// A value in the cache.
#[derive(Debug)]
pub struct CacheEntry {
    /// The value's bytes, from the beginning; more follows them.
    pub file: File,
    /// The note of its maker.
    pub note: Vec<u8>,
}

impl Cache {
    /// The value of `key`, if there is one. An invalid one is removed.
    ///
    /// # Errors
    /// When it exists but can be neither read nor removed.
    pub fn get(&self, key: &Key) -> anyhow::Result<Option<CacheEntry>> {
        let path = self.dir.join("values").join(&key.0);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return self.refuse(key, "it is a link");
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
        };
        match read(&file, key) {
            Ok(note) => {
                touch(&file);
                Ok(Some(CacheEntry { file, note }))
            }
            Err(reason) => self.refuse(key, &format!("{reason:#}")),
        }
    }

    fn refuse(&self, key: &Key, reason: &str) -> anyhow::Result<Option<CacheEntry>> {
        let path = self.dir.join("values").join(&key.0);
        log::warn!("{} is removed and made again: {reason}", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(None),
        }
    }
}

/// Verifies that a value was written here, whole, and for this key. Returns its note.
fn read(file: &File, key: &Key) -> anyhow::Result<Vec<u8>> {
    let found = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    ensure!(found.is_file() && found.nlink() == 1, "it is no file of its own");
    ensure!(
        found.uid() == own && found.mode() & 0o777 == 0o400,
        "others than user {own} could have written it"
    );
    let mut seal = [0; SEAL as usize];
    let end = found.len().checked_sub(SEAL).context("it is too short")?;
    file.read_exact_at(&mut seal, end)?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| seal[at + byte]));
    let (length, noted) = (number(32), number(40));
    ensure!(&seal[48..] == MAGIC, "its last bytes are not those of a value");
    ensure!(
        noted <= LONGEST_NOTE && length.checked_add(noted) == Some(end),
        "its length is not what it says"
    );
    let mut hash = Sha256::new();
    hash.update(&key.0);
    each_part(file, 0, end, |part| {
        hash.update(part);
        Ok(())
    })?;
    ensure!(hash.finalize()[..] == seal[..32], "it was changed, or is another's");
    let mut note = vec![0; noted as usize];
    file.read_exact_at(&mut note, length)?;
    Ok(note)
}

/// Updates the time of last use, which decides the order of removal.
fn touch(file: &File) {
    let now = SystemTime::now();
    let used = file.metadata().and_then(|found| found.modified());
    if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|ago| ago > USED)) {
        // On a read-only file system nothing is removed, either.
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use proptest::prelude::*;

    use crate::draft::put;

    fn cache(dir: &Path) -> Cache {
        Cache::open(dir, 1 << 20).unwrap()
    }

    /// The value and the note under `key`.
    fn got(cache: &Cache, key: &Key, length: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let CacheEntry { file, note } = cache.get(key).unwrap()?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Some((bytes, note))
    }

    #[test]
    fn what_was_put_is_got() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, key) = (cache(dir.path()), Key::of(&["a"]));
        assert!(cache.get(&key).unwrap().is_none());
        put(&cache, &key, b"code", b"note");
        assert_eq!(got(&cache, &key, 4), Some((b"code".into(), b"note".into())));
        assert!(cache.get(&Key::of(&["b"])).unwrap().is_none());
        // Again, by another writer, with the same result.
        put(&cache, &key, b"code", b"note");
        assert_eq!(got(&cache, &key, 4), Some((b"code".into(), b"note".into())));
    }

    /// Puts a value, runs `spoil` on its file, and checks that the value is refused and removed.
    fn refused(spoil: impl Fn(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        let (cache, key) = (cache(dir.path()), Key::of(&["a"]));
        put(&cache, &key, &[7; 1000], b"note");
        let path = dir.path().join("values").join(&key.0);
        spoil(&path);
        assert!(cache.get(&key).unwrap().is_none());
        assert!(path.symlink_metadata().is_err(), "it is still there");
    }

    fn rewrite(path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
    }

    #[test]
    fn what_was_not_written_here_whole_is_refused() {
        refused(|path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap());
        refused(|path| fs::hard_link(path, path.with_extension("other")).unwrap());
        refused(|path| {
            let other = path.with_extension("other");
            fs::rename(path, &other).unwrap();
            symlink(other, path).unwrap();
        });
        refused(|path| rewrite(path, |bytes| bytes.truncate(500)));
        refused(|path| rewrite(path, |bytes| bytes.clear()));
        refused(|path| rewrite(path, |bytes| bytes.push(0)));
        refused(|path| {
            let other = path.with_file_name("other");
            fs::rename(path, &other).unwrap();
            rewrite(&other, |_| {});
            // Another key's value.
            let dir = tempfile::tempdir().unwrap();
            let (cache, key) = (cache(dir.path()), Key::of(&["b"]));
            put(&cache, &key, b"other", b"");
            fs::copy(dir.path().join("values").join(&key.0), path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_changed_byte_goes_unseen(at in 0..1060_usize, bit in 0..8_u8) {
            refused(|path| rewrite(path, |bytes| bytes[at] ^= 1 << bit));
        }
    }
}
