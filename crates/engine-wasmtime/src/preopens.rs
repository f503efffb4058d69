//! The guest's preopened directories, opened with its user's permissions while it is loaded.

use std::io;
use std::path::PathBuf;

use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};
use worlds::preopens::open_each;

use crate::ending::sentence;

/// Opens each of `preopens` for the guest under its own path.
///
/// # Errors
/// See [`open_each`].
pub fn open(preopens: &[PathBuf], builder: &mut WasiCtxBuilder) -> anyhow::Result<()> {
    open_each(preopens, |name| {
        // The kernel knows what is writable, and refuses in the words that programs know.
        match builder.preopened_dir(name, name, FsPerms::ReadWrite) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.downcast::<io::Error>().map_or_else(sentence, Into::into)),
        }
    })
}

/// Reserves the first `count` descriptors of preview 1's table for listening sockets.
///
/// # Errors
/// When the root cannot be opened.
pub fn reserve(count: usize, builder: &mut WasiCtxBuilder) -> anyhow::Result<()> {
    for _ in 0..count {
        builder.preopened_dir("/", "", FsPerms::ReadOnly).map_err(sentence)?;
    }
    Ok(())
}

/// Opens `preopens` once for all instances of a guest.
///
/// # Errors
/// See [`open`].
pub fn open_shared(preopens: &[PathBuf]) -> anyhow::Result<WasiFilesystemCtx> {
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true);
    open(preopens, &mut builder)?;
    Ok(builder.build().filesystem().clone())
}
