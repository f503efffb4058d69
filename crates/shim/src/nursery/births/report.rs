//! What every new process does alike: it enters its cgroup, and reports a failure to the daemon.

use std::os::fd::OwnedFd;

use container::cgroup::move_self;
use container::channel::Channel;

use crate::payload::{Entrance, Report, send};

/// The exit status of a process that panicked: EX_SOFTWARE.
pub const PANICKED: i32 = 70;

/// Enters the cgroup, if the process must do that itself.
pub fn enter_cgroup(cgroup: Entrance<OwnedFd>) -> anyhow::Result<()> {
    match cgroup {
        Entrance::SelfMove(files) => move_self(files),
        Entrance::CloneInto(_) | Entrance::FromOutside => Ok(()),
    }
}

/// Reports why the process failed, and returns its exit status.
pub fn report_failure(line: &Channel, error: anyhow::Error) -> i32 {
    send(line, failed(error)).map_or(1, |()| 0)
}

/// The report of a failure.
pub fn failed<F>(error: anyhow::Error) -> Report<F> {
    Report::Failed(sentence(error))
}

/// The error as one sentence, truncated to fit into a message.
pub fn sentence(error: anyhow::Error) -> String {
    const MAX_LEN: usize = 8 << 10;
    let mut sentence = format!("{error:#}");
    if let Some((cut, _)) = sentence.char_indices().find(|(at, _)| *at >= MAX_LEN) {
        sentence.truncate(cut);
        sentence.push('…');
    }
    sentence
}
