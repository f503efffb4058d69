//! Wasmtime's functions on paths, and behind each the kernel's answer where Wasmtime's is not Linux's: a link that
//! leads out of the directory a path is relative to (`EPERM`), and what is mounted read-only, which it takes for an
//! input/output error. See [`worlds::paths`].
//!
//! What Wasmtime answers else stands: a path that needs no more costs no more.

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
use worlds::paths::{Place, resolve};
use worlds::socket::Errno;

/// What is amiss with a first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// The path may have led outside.
    Outside,
    /// The place may be mounted read-only.
    Broken,
}

/// Where a path leads from `directory`; `None` for one that WASI itself refuses.
///
/// # Errors
/// Why it leads nowhere.
fn place(directory: &Arc<File>, path: &str, follow: bool) -> Result<Option<Place>, Errno> {
    match resolve(directory.as_fd(), path, follow) {
        Err(Errno::Perm) => Ok(None),
        found => found.map(Some),
    }
}

/// A directory as Wasmtime keeps it.
fn descriptor(directory: File) -> Descriptor {
    let mode = OpenMode::READ | OpenMode::WRITE;
    Descriptor::Dir(Dir::new(directory, FsPerms::ReadWrite, mode, true))
}

/// Calls on files never wait, since this thread may block.
fn at_once<R>(call: impl Future<Output = R>) -> Option<R> {
    poll_noop(pin!(call))
}
