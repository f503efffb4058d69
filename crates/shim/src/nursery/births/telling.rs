//! What every process that is born here does alike: it goes into its cgroup, and tells why it could not go on.

use std::os::fd::OwnedFd;

use container::cgroup::move_self;
use container::channel::Channel;

use crate::payload::{Entrance, Report, send};

/// The status of a process that ended by a fault of this program: EX_SOFTWARE.
pub const PANICKED: i32 = 70;

/// Comes into the cgroup, if that is left to the process.
pub fn go_in(cgroup: Entrance<OwnedFd>) -> anyhow::Result<()> {
    match cgroup {
        Entrance::Doors(doors) => move_self(doors),
        Entrance::Birth(_) | Entrance::Outside => Ok(()),
    }
}

/// Tells why the process ends before it could do its work, and with which status it does.
pub fn report_failure(line: &Channel, error: anyhow::Error) -> i32 {
    send(line, failed(error)).map_or(1, |()| 0)
}

/// The same as a message.
pub fn failed<F>(error: anyhow::Error) -> Report<F> {
    Report::Failed(sentence(error))
}

/// One, short enough for a message.
pub fn sentence(error: anyhow::Error) -> String {
    const ENOUGH: usize = 8 << 10;
    let mut sentence = format!("{error:#}");
    if let Some((cut, _)) = sentence.char_indices().find(|(at, _)| *at >= ENOUGH) {
        sentence.truncate(cut);
        sentence.push('…');
    }
    sentence
}
