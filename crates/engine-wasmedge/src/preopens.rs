//! The folders a guest may look into, in the words in which WasmEdge is told to open them.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::ensure;
use worlds::preopens::open_each;

/// One directory.
pub struct Folder {
    /// Its path, for the guest.
    pub name: String,
    /// `GUEST:HOST`.
    pub described: String,
}

/// Those of `preopens` that are directories. WasmEdge skips what it cannot open without an error, so each is opened here
/// first, with the rights of the guest's user.
///
/// # Errors
/// See [`open_each`]; a path with a colon in it.
pub fn folders(preopens: &[PathBuf]) -> anyhow::Result<Vec<Folder>> {
    let mut folders = Vec::new();
    open_each(preopens, |name| {
        ensure!(
            !name.contains([':', '\0']),
            "WasmEdge takes no path with a colon in it; mount it under another"
        );
        File::options().read(true).custom_flags(libc::O_DIRECTORY).open(name)?;
        folders.push(Folder { name: name.into(), described: format!("{name}:{name}") });
        Ok(())
    })?;
    Ok(folders)
}
