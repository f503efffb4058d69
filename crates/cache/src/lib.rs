//! Files by what is in them: a value is made once per key, written whole or not at all, and opened by many.
//!
//! Knows no Wasm: a key is a digest, a value is bytes with a note. What the folder holds is nobody's but
//! root's: whatever in it looks as if it were not written here is removed, with one warning, and made again.
//!
//! ```text
//! FOLDER/values/KEY       a value, its note, and a seal over both (see `entry`)
//! FOLDER/known/BOOT/IDENTITY   a link that is called after a file and leads to its digest (see `known`)
//! FOLDER/locks/KEY        held by who makes the value (see `lock`)
//! FOLDER/failed/KEY       why a value cannot be made, for some minutes (see `failures`)
//! FOLDER/fresh/…          values that are being written, where they must have a name (see `draft`)
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
pub use entry::Entry;
pub use failures::Failure;
pub use known::Identity;
pub use lock::Lock;

/// A folder of values.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    /// How many bytes it may hold.
    most: u64,
}

/// What a value is found by.
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
            // The length first, so that no two lists are alike.
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
    /// Reads a file from its beginning to where its end is now: one that grows meanwhile holds nobody up.
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
    /// Opens a folder, which is made where it is not there, and in which at most `most` bytes are kept.
    ///
    /// # Errors
    /// Names the folder that cannot be made, or that others than its owner could write to.
    pub fn open(folder: &Path, most: u64) -> anyhow::Result<Self> {
        for name in ["values", "known", "locks", "fresh", "failed"] {
            let path = folder.join(name);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        let found = folder.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        ensure!(
            found.uid() == own && found.mode() & 0o022 == 0,
            "{} is not user {own}'s alone to write to: code is not taken from there",
            folder.display()
        );
        Ok(Self { folder: folder.into(), most })
    }
}

/// Reads a file from `start` to `end`, or to its own end where that comes first; how many bytes that was.
fn each_part(
    file: &File,
    start: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut buffer, mut at) = (vec![0; 64 << 10], start);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        match file.read_at(&mut buffer[..most], at)? {
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
    fn keys_tell_lists_apart() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
        assert_ne!(Key::of(&["a"]), Key::of(&["a", ""]));
        assert_eq!(Key::of(&["a", "b"]), Key::of(&["a", "b"]));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Cache::open(folder.path(), 0).unwrap_err().to_string();
        assert!(refused.contains("not taken from there"), "{refused}");
    }
}
