//! A content-addressed cache of files: a value is made once per key, written whole or not at all, and opened by many.
//!
//! Knows no Wasm: a key is a digest, a value is bytes with a note. The directory belongs to root alone: whatever in
//! it looks as if it was not written here is removed, with one warning, and made again.
//!
//! ```text
//! DIR/values/KEY           a value, its note, and a seal over both (see `entry`)
//! DIR/known/BOOT/IDENTITY  a symlink named after a file's identity, whose target is the file's digest (see `known`)
//! DIR/locks/KEY            held by the process that makes the value (see `lock`)
//! DIR/failed/KEY           why a value cannot be made, for some minutes (see `failures`)
//! DIR/fresh/…              values that are being written, where they must have a name (see `draft`)
//! ```
//!
//! No unsafe code.

mod draft;
mod entry;
mod failures;
mod known;
mod lock;
mod room;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sha2::{Digest as _, Sha256};

pub use draft::{Draft, Sealed};
pub use entry::CacheEntry;
pub use failures::Failure;
pub use known::FileIdentity;
pub use lock::Lock;

/// A directory of values.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    /// The max size, in bytes.
    max: u64,
}

/// The key of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// The SHA-256 of a file, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Key {
    /// The key of everything that a value depends on, in order.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length first, so that no two lists have the same encoding.
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hex(&hash.finalize()))
    }

    /// Hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Digest {
    /// Reads a file from its beginning to its current end, so a growing file cannot hold the reader up.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &File) -> io::Result<Self> {
        let mut hash = Sha256::new();
        each_part(file, 0, file.metadata()?.len(), |part| {
            hash.update(part);
            Ok(())
        })?;
        Ok(Self(hex(&hash.finalize())))
    }

    /// Hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cache {
    /// Opens a directory, creating it if it is missing, to hold at max `max` bytes.
    ///
    /// # Errors
    /// Names the directory that cannot be created, or that users other than its owner can write to.
    pub fn open(dir: &Path, max: u64) -> anyhow::Result<Self> {
        for name in ["values", "known", "locks", "fresh", "failed"] {
            let path = dir.join(name);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        let found = dir.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        ensure!(
            found.uid() == own && found.mode() & 0o022 == 0,
            "{} is not user {own}'s alone to write to: code is not taken from there",
            dir.display()
        );
        Ok(Self { dir: dir.into(), max })
    }
}

/// Reads a file from `start` to `end`, or to its own end if that comes first. Returns the number of bytes read.
fn each_part(
    file: &File,
    start: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut buffer, mut at) = (vec![0; 64 << 10], start);
    while at < end {
        let size = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        match file.read_at(&mut buffer[..size], at)? {
            0 => break,
            read => {
                take(&buffer[..read])?;
                at += read as u64;
            }
        }
    }
    Ok(at - start)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_distinguish_lists() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
        assert_ne!(Key::of(&["a"]), Key::of(&["a", ""]));
        assert_eq!(Key::of(&["a", "b"]), Key::of(&["a", "b"]));
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Cache::open(dir.path(), 0).unwrap_err().to_string();
        assert!(refused.contains("not taken from there"), "{refused}");
    }
}
