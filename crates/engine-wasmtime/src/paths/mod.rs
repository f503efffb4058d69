//! Wasmtime's path functions, corrected where their result differs from Linux's: for a symbolic link that leads out of
//! the directory a path is relative to (`EPERM`), and for a read-only mount (`EIO`). See [`worlds::paths`].
//!
//! Any other result of Wasmtime's stands, so other paths cost no more.

mod component;
mod preview1;
mod wasi02;
#[cfg(feature = "p3")]
mod wasi03;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::Arc;

pub use preview1::link as link_preview1;
pub use wasi02::link as link_02;
#[cfg(feature = "p3")]
pub use wasi03::link as link_03;
use wasmtime_wasi::filesystem::{Descriptor, Dir};
use wasmtime_wasi::runtime::poll_noop;
use wasmtime_wasi::{FsPerms, OpenMode};
use worlds::paths::{ResolvedPath, resolve};
use worlds::socket::Errno;

/// Why the result of Wasmtime's function may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// EPERM: the path may lead outside.
    Outside,
    /// EIO: the mount may be read-only.
    ReadOnly,
}

/// Resolves `path` from `directory`; `None` for a path that WASI itself refuses.
///
/// # Errors
/// Why it cannot be resolved.
fn resolved(directory: &Arc<File>, path: &str, follow: bool) -> Result<Option<ResolvedPath>, Errno> {
    match resolve(directory.as_fd(), path, follow) {
        Err(Errno::Perm) => Ok(None),
        found => found.map(Some),
    }
}

/// A directory as a descriptor of Wasmtime's.
fn descriptor(directory: File) -> Descriptor {
    let mode = OpenMode::READ | OpenMode::WRITE;
    Descriptor::Dir(Dir::new(directory, FsPerms::ReadWrite, mode, true))
}

/// Completes a file call, which is never pending, since this thread may block.
fn at_once<R>(call: impl Future<Output = R>) -> Option<R> {
    poll_noop(pin!(call))
}
