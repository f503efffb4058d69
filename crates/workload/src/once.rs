//! The settings of guests that run once, from their start to their end, in one thread.

use std::net::SocketAddr;

use oci_spec::runtime::{PosixRlimitType, Process};
use serde::{Deserialize, Serialize};

/// The settings of a guest that runs once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceSettings {
    /// The max stack size, in bytes: the spec's `RLIMIT_STACK`.
    pub stack: Option<usize>,
    /// The addresses of the listening sockets that it is handed.
    pub listens: Vec<SocketAddr>,
    /// Whether accepting there never blocks, and fails if there is no connection.
    pub accepts_nonblocking: bool,
}

impl OnceSettings {
    /// The settings of a guest without listening sockets.
    pub(crate) fn of(process: &Process) -> Self {
        Self { stack: stack(process), ..Self::default() }
    }
}

fn stack(process: &Process) -> Option<usize> {
    let limits = process.rlimits().as_deref().unwrap_or_default();
    let limit = limits.iter().find(|limit| limit.typ() == PosixRlimitType::RlimitStack)?;
    // A guest would not start with less.
    const MIN: u64 = 64 << 10;
    usize::try_from(limit.soft().max(MIN)).ok()
}
