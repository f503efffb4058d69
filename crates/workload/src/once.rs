//! The settings of guests that run once, from their start to their end, in one thread.

use std::net::SocketAddr;

use oci_spec::runtime::{PosixRlimitType, Process};
use serde::{Deserialize, Serialize};

/// How a guest runs once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// How deep its calls may go, in bytes: the spec's `RLIMIT_STACK`.
    pub stack: Option<usize>,
    /// Addresses that are listened on for it.
    pub listens: Vec<SocketAddr>,
    /// Whether accepting there returns at once, with an error where nobody has come.
    pub accepts_nonblocking: bool,
}

impl Once {
    /// For a guest that nobody connects to.
    pub(crate) fn of(process: &Process) -> Self {
        Self { stack: stack(process), ..Self::default() }
    }
}

fn stack(process: &Process) -> Option<usize> {
    let limits = process.rlimits().as_deref().unwrap_or_default();
    let limit = limits.iter().find(|limit| limit.typ() == PosixRlimitType::RlimitStack)?;
    // Less would not begin.
    const MIN: u64 = 64 << 10;
    usize::try_from(limit.soft().max(MIN)).ok()
}
