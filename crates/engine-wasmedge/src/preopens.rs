//! The guest's preopened directories, in WasmEdge's notation.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::ensure;
use worlds::preopens::open_each;

/// A preopened directory.
pub struct Preopen {
    /// Its path, for the guest.
    pub name: String,
    /// `GUEST:HOST`.
    pub mapping: String,
}

/// Those of `preopens` that are directories. WasmEdge skips what it cannot open without an error, so each is opened here
/// first, with the rights of the guest's user.
///
/// # Errors
/// See [`open_each`]; a path with a colon in it.
pub fn directories(preopens: &[PathBuf]) -> anyhow::Result<Vec<Preopen>> {
    let mut directories = Vec::new();
    open_each(preopens, |name| {
        ensure!(
            !name.contains([':', '\0']),
            "WasmEdge takes no path with a colon in it; mount it under another"
        );
        File::options().read(true).custom_flags(libc::O_DIRECTORY).open(name)?;
        directories.push(Preopen { name: name.into(), mapping: format!("{name}:{name}") });
        Ok(())
    })?;
    Ok(directories)
}
