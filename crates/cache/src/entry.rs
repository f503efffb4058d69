//! One value in a file: the bytes, which begin the file so that it can be mapped as it is, a note of whoever
//! made it, and a seal:
//!
//! ```text
//! value │ note │ SHA-256 of key, value and note │ length of the value, u64 │ of the note, u64 │ magic
//! ```
//!
//! A writer that is killed leaves a file in `fresh`, which nobody reads: a value gets its name when all of it
//! is on the disk.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{Cache, Key, each_part};

/// The last bytes of a value's file. A number counts what changes in this format.
const MAGIC: &[u8; 8] = b"lighter1";
/// Digest, two lengths and the magic.
const SEAL: u64 = 32 + 8 + 8 + 8;
/// Longer notes are none of ours.
const LONGEST_NOTE: u64 = 64 << 10;
/// How exactly it is known when a value was used last.
const USED: Duration = Duration::from_secs(3600);

/// A value, found.
#[derive(Debug)]
pub struct Entry {
    /// The value's bytes, from the beginning; more follows them.
    pub file: File,
    /// What its maker noted.
    pub note: Vec<u8>,
}

impl Cache {
    /// The value of `key`, if it was made. One that was not written here whole is removed.
    ///
    /// # Errors
    /// When it is there and can be neither read nor removed.
    pub fn get(&self, key: &Key) -> anyhow::Result<Option<Entry>> {
        let path = self.folder.join("values").join(&key.0);
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
                Ok(Some(Entry { file, note }))
            }
            Err(reason) => self.refuse(key, &format!("{reason:#}")),
        }
    }

    fn refuse(&self, key: &Key, reason: &str) -> anyhow::Result<Option<Entry>> {
        let path = self.folder.join("values").join(&key.0);
        log::warn!("{} is removed and made again: {reason}", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(None),
        }
    }

    /// Keeps a value, which is read from its beginning to its end, under `key`. Room is made for it.
    ///
    /// # Errors
    /// Names the file and what the kernel said; nothing has changed then.
    pub fn put(&self, key: &Key, value: &File, note: &[u8]) -> anyhow::Result<()> {
        self.put_in_steps(key, value, note, &mut |_| {})
    }

    /// [`Cache::put`], which says before each step which one it is.
    fn put_in_steps(
        &self,
        key: &Key,
        value: &File,
        note: &[u8],
        step: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let fresh = self.folder.join("fresh").join(name);
        let mut write = || -> io::Result<()> {
            step("make");
            // Of a writer with this id that was killed.
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            step("write");
            let mut hash = Sha256::new();
            hash.update(&key.0);
            let length = each_part(value, 0, u64::MAX, |part| {
                hash.update(part);
                file.write_all(part)
            })?;
            hash.update(note);
            step("seal");
            file.write_all(note)?;
            file.write_all(&hash.finalize())?;
            file.write_all(&length.to_le_bytes())?;
            file.write_all(&(note.len() as u64).to_le_bytes())?;
            file.write_all(MAGIC)?;
            file.set_permissions(Permissions::from_mode(0o400))?;
            step("flush");
            file.sync_all()?;
            step("name");
            fs::rename(&fresh, self.folder.join("values").join(&key.0))?;
            step("flush the name");
            File::open(self.folder.join("values"))?.sync_all()?;
            step("make room");
            Ok(())
        };
        let written = write().with_context(|| format!("cannot keep a value in {}", self.folder.display()));
        if written.is_err() {
            // It may never have been made.
            let _ = fs::remove_file(&fresh);
        }
        written?;
        self.make_room(key)
    }
}

/// The note of a value that was written here whole, and for this key.
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

/// Notes that a value was used, roughly: the one used longest ago is the first to go.
fn touch(file: &File) {
    let now = SystemTime::now();
    let used = file.metadata().and_then(|found| found.modified());
    if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|ago| ago > USED)) {
        // On a file system that cannot be written to there is nothing to choose from, either.
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use proptest::prelude::*;

    fn cache(folder: &Path) -> Cache {
        Cache::open(folder, 1 << 20).unwrap()
    }

    fn value(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// The value and the note under `key`.
    fn got(cache: &Cache, key: &Key, length: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let Entry { file, note } = cache.get(key).unwrap()?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Some((bytes, note))
    }

    #[test]
    fn what_was_put_is_got() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, key) = (cache(folder.path()), Key::of(&["a"]));
        assert!(cache.get(&key).unwrap().is_none());
        cache.put(&key, &value(b"code"), b"note").unwrap();
        assert_eq!(got(&cache, &key, 4), Some((b"code".into(), b"note".into())));
        assert!(cache.get(&Key::of(&["b"])).unwrap().is_none());
        // Again, by another writer: the same.
        cache.put(&key, &value(b"code"), b"note").unwrap();
        assert_eq!(got(&cache, &key, 4), Some((b"code".into(), b"note".into())));
    }

    /// Puts a value, has `spoil` do something to its file, and checks that it is refused and gone.
    fn refused(spoil: impl Fn(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let (cache, key) = (cache(folder.path()), Key::of(&["a"]));
        cache.put(&key, &value(&[7; 1000]), b"note").unwrap();
        let path = folder.path().join("values").join(&key.0);
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
            let folder = tempfile::tempdir().unwrap();
            let (cache, key) = (cache(folder.path()), Key::of(&["b"]));
            cache.put(&key, &value(b"other"), b"").unwrap();
            fs::copy(folder.path().join("values").join(&key.0), path).unwrap();
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

    /// The steps of a put at which its writer may be killed.
    const STEPS: [&str; 7] = ["make", "write", "seal", "flush", "name", "flush the name", "make room"];
    const KILLED_AT: &str = "LIGHTER_CACHE_TEST_KILLED_AT";
    const IN_FOLDER: &str = "LIGHTER_CACHE_TEST_IN";

    /// Not a test: the process that the next one starts and that kills itself.
    #[test]
    fn writer_that_is_killed() {
        let (Some(at), Some(folder)) = (std::env::var_os(KILLED_AT), std::env::var_os(IN_FOLDER)) else {
            return;
        };
        let cache = cache(&PathBuf::from(folder));
        let die = &mut |step: &str| {
            if *at == *step {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
            }
        };
        cache.put_in_steps(&Key::of(&["a"]), &value(&[7; 100_000]), b"note", die).unwrap();
    }

    #[test]
    fn a_killed_writer_leaves_all_or_nothing() {
        for step in STEPS {
            let folder = tempfile::tempdir().unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "entry::tests::writer_that_is_killed"])
                .env(KILLED_AT, step)
                .env(IN_FOLDER, folder.path())
                .output()
                .unwrap()
                .status;
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{step}");
            let (cache, key) = (cache(folder.path()), Key::of(&["a"]));
            let named = ["flush the name", "make room"].contains(&step);
            assert_eq!(got(&cache, &key, 100_000).is_some(), named, "killed before {step:?}");
            cache.put(&key, &value(&[7; 100_000]), b"note").unwrap();
            assert_eq!(got(&cache, &key, 100_000), Some((vec![7; 100_000], b"note".into())), "{step}");
        }
    }
}
