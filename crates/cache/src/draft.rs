//! A value that is being written. Its file has no name until all of it is on the disk: a writer that is killed leaves
//! nothing, and a reader sees a whole value or none. On file systems without unnamed files it has a name in `fresh`,
//! where no reader looks.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use rustix::fs::{AtFlags, CWD, OFlags, linkat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::entry::MAGIC;
use crate::{Cache, Key, each_part};

/// The file of a value that is being written; discarded when dropped.
#[derive(Debug)]
pub struct Draft {
    cache: Cache,
    /// The file, empty and open for writing.
    pub file: File,
    name: TempName,
}

/// A complete value, as every reader will find it, without its final name yet.
#[derive(Debug)]
pub struct Sealed {
    cache: Cache,
    key: Key,
    /// The value's bytes, from the beginning, open read-only; more follows them.
    pub file: File,
    name: TempName,
}

/// The name of a value's file before it gets its key's name.
#[derive(Debug)]
enum TempName {
    None,
    Fresh(PathBuf),
}

impl Cache {
    /// Begins a value.
    ///
    /// # Errors
    /// Names the directory and the kernel's error.
    pub fn begin(&self) -> anyhow::Result<Draft> {
        let flags = OFlags::TMPFILE.bits().cast_signed();
        let dir = self.dir.join("fresh");
        let file = OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(&dir);
        let without = [Errno::OPNOTSUPP, Errno::ISDIR].map(|error| Some(error.raw_os_error()));
        match file {
            Err(error) if without.contains(&error.raw_os_error()) => self.begin_named(),
            file => Ok(Draft { cache: self.clone(), file: self.made(file)?, name: TempName::None }),
        }
    }

    fn begin_named(&self) -> anyhow::Result<Draft> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = self.dir.join("fresh").join(name);
        // Left by a killed writer with the same pid.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        Ok(Draft { cache: self.clone(), file: self.made(file)?, name: TempName::Fresh(path) })
    }

    fn made<T>(&self, made: io::Result<T>) -> anyhow::Result<T> {
        made.with_context(|| format!("cannot keep a value in {}", self.dir.display()))
    }
}

impl Draft {
    /// Completes the value under `key`, with its maker's note. The file returned is a new descriptor;
    /// [`Draft::file`], the one open for writing, is closed here.
    ///
    /// # Errors
    /// Names the directory and the kernel's error.
    pub fn seal(self, key: &Key, note: &[u8]) -> anyhow::Result<Sealed> {
        let Self { cache, file, name } = self;
        let sealed = sealed(file, key, note);
        Ok(Sealed { file: cache.made(sealed)?, cache, key: key.clone(), name })
    }
}

fn sealed(mut file: File, key: &Key, note: &[u8]) -> io::Result<File> {
    let mut hash = Sha256::new();
    hash.update(&key.0);
    let length = each_part(&file, 0, file.metadata()?.len(), |part| {
        hash.update(part);
        Ok(())
    })?;
    hash.update(note);
    let seal = [note, &hash.finalize(), &length.to_le_bytes(), &(note.len() as u64).to_le_bytes(), MAGIC];
    file.seek(SeekFrom::Start(length))?;
    file.write_all(&seal.concat())?;
    file.set_permissions(Permissions::from_mode(0o400))?;
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

impl Sealed {
    /// Puts the value into the cache: syncs its bytes to the disk, names it, then makes room for it.
    ///
    /// # Errors
    /// Names the directory and the kernel's error; the cache is unchanged then.
    pub fn keep(self) -> anyhow::Result<()> {
        self.keep_in_steps(&mut |_| {})
    }

    /// [`Sealed::keep`], announcing each step before it.
    fn keep_in_steps(self, step: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let Self { cache, key, file, name } = self;
        let values = cache.dir.join("values");
        let value = values.join(&key.0);
        let mut keep = || -> io::Result<()> {
            step("flush");
            file.sync_all()?;
            step("name");
            match &name {
                TempName::None => {
                    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
                    match linkat(CWD, unnamed, CWD, &value, AtFlags::SYMLINK_FOLLOW) {
                        // Another process made the same value.
                        Err(Errno::EXIST) => {}
                        linked => linked?,
                    }
                }
                TempName::Fresh(path) => fs::rename(path, &value)?,
            }
            step("flush the name");
            File::open(&values)?.sync_all()?;
            step("make room");
            Ok(())
        };
        cache.made(keep())?;
        cache.make_room(&key)
    }
}

impl Drop for TempName {
    fn drop(&mut self) {
        let Self::Fresh(path) = self else { return };
        match fs::remove_file(&path) {
            // It has its value's name now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => log::warn!("cannot remove {}: {error}", path.display()),
            Ok(()) => {}
        }
    }
}

/// Puts a value of these bytes into the cache.
#[cfg(test)]
pub fn put(cache: &Cache, key: &Key, value: &[u8], note: &[u8]) {
    let mut draft = cache.begin().unwrap();
    draft.file.write_all(value).unwrap();
    draft.seal(key, note).unwrap().keep().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// The steps before which a writer may be killed.
    const STEPS: [&str; 7] = ["make", "write", "seal", "flush", "name", "flush the name", "make room"];
    const KILLED_AT: &str = "LIGHTER_CACHE_TEST_KILLED_AT";
    const IN_DIR: &str = "LIGHTER_CACHE_TEST_IN";
    static VALUE: [u8; 100_000] = [7; 100_000];

    /// The variants, by the names that [`writer_that_is_killed`] uses.
    type Begin = fn(&Cache) -> anyhow::Result<Draft>;
    const WAYS: [(&str, Begin); 2] = [("unnamed", Cache::begin), ("named", Cache::begin_named)];

    fn put_in_steps(cache: &Cache, begin: Begin, step: &mut dyn FnMut(&str)) {
        step("make");
        let mut draft = begin(cache).unwrap();
        step("write");
        draft.file.write_all(&VALUE).unwrap();
        step("seal");
        draft.seal(&Key::of(&["a"]), b"note").unwrap().keep_in_steps(step).unwrap();
    }

    /// Not a test: the process that the next test starts and that kills itself.
    #[test]
    fn writer_that_is_killed() {
        let (Ok(at), Some(dir)) = (std::env::var(KILLED_AT), std::env::var_os(IN_DIR)) else { return };
        let (way, at) = at.split_once(':').unwrap();
        let (_, begin) = WAYS.into_iter().find(|(name, _)| *name == way).unwrap();
        let die = &mut |step: &str| {
            if *at == *step {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
            }
        };
        put_in_steps(&Cache::open(&PathBuf::from(dir), 1 << 20).unwrap(), begin, die);
    }

    #[test]
    fn a_killed_writer_leaves_all_or_nothing() {
        for ((way, begin), step) in WAYS.into_iter().flat_map(|way| STEPS.map(|step| (way, step))) {
            let dir = tempfile::tempdir().unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "draft::tests::writer_that_is_killed"])
                .env(KILLED_AT, format!("{way}:{step}"))
                .env(IN_DIR, dir.path())
                .output()
                .unwrap()
                .status;
            assert_eq!(status.signal(), Some(9), "{step}");
            let (cache, key) = (Cache::open(dir.path(), 1 << 20).unwrap(), Key::of(&["a"]));
            let named = ["flush the name", "make room"].contains(&step);
            assert_eq!(cache.get(&key).unwrap().is_some(), named, "{way}, killed before {step:?}");
            let left = fs::read_dir(dir.path().join("fresh")).unwrap().count();
            assert!(left == 0 || way == "named", "an unnamed file has a name before {step:?}");
            put_in_steps(&cache, begin, &mut |_| {});
            assert_eq!(cache.get(&key).unwrap().unwrap().note, b"note", "{way}, {step}");
        }
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 0).unwrap();
        for (way, begin) in WAYS {
            drop(begin(&cache).unwrap());
            drop(begin(&cache).unwrap().seal(&Key::of(&["a"]), b"").unwrap());
            assert_eq!(fs::read_dir(dir.path().join("fresh")).unwrap().count(), 0, "{way}");
        }
    }

    #[test]
    fn a_sealed_value_is_open_for_reading_only() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 0).unwrap();
        let sealed = cache.begin().unwrap().seal(&Key::of(&["a"]), b"").unwrap();
        assert!((&sealed.file).write_all(b"x").is_err());
    }
}
