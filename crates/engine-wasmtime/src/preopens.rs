//! The guest's preopened directories, opened with its user's permissions while it is loaded.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::ending::sentence;

/// Opens each of `preopens` for the guest under its own path.
///
/// A path that is a file (a bind-mounted one) is left out: the guest reaches it through its parent directory.
///
/// # Errors
/// Names the first path that cannot be opened.
pub fn open(preopens: &[PathBuf], builder: &mut WasiCtxBuilder) -> anyhow::Result<()> {
    for preopen in preopens {
        let shown = preopen.display();
        let name = preopen.to_str().with_context(|| format!("the path {shown} is not UTF-8"))?;
        // Write access is left to the kernel, whose errnos programs expect.
        match builder.preopened_dir(preopen, name, FsPerms::ReadWrite) {
            Ok(_) => {}
            Err(error) if kind(&error) == Some(ErrorKind::NotADirectory) => {}
            Err(error) if kind(&error) == Some(ErrorKind::PermissionDenied) => {
                return Err(anyhow!(
                    "cannot open {shown} for the guest: its user may not read that directory"
                ));
            }
            Err(error) => return Err(sentence(error).context(format!("cannot open {shown} for the guest"))),
        }
    }
    Ok(())
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

fn kind(error: &wasmtime::Error) -> Option<ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}
