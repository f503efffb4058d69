//! Times one `ctr run --rm`, from its exec to its exit, to the microsecond: it sleeps in the kernel
//! until `ctr` ends, and does not poll.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use e2e::containerd::Containerd;
use e2e::image;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::subject::Subject;

/// A run that takes longer is stuck, not slow.
const LIMIT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Runs `subject` once as container `id` and returns the time it took.
///
/// # Errors
/// When it fails, prints something unexpected, or does not end.
pub fn time(daemon: &Containerd, subject: &Subject, id: &str) -> Result<Duration> {
    let mut command = ctr_run(daemon, subject, id);
    let begin = Instant::now();
    let mut child = command.spawn().context("cannot start ctr")?;
    let ended = wait(&child);
    let took = begin.elapsed();
    if !ended? {
        child.kill()?;
        child.wait()?;
        bail!("it did not end within {} s", LIMIT.tv_sec);
    }
    judge(&mut child, subject)?;
    Ok(took)
}

fn ctr_run(daemon: &Containerd, subject: &Subject, id: &str) -> Command {
    let mut command = daemon.ctr(["run", "--rm", "--runtime", subject.runtime]);
    command.arg("--fifo-dir").arg(daemon.scope.dir.join("fifo"));
    command.args(&subject.flags).arg(image::name(None)).arg(id).args(subject.args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether it ended in time.
fn wait(child: &Child) -> Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    Ok(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&LIMIT))? == 1)
}

fn judge(child: &mut Child, subject: &Subject) -> Result<()> {
    let status = child.wait()?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    // A hello and an error both fit into a pipe, so `ctr` never waited for this read.
    child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut stdout)).transpose()?;
    child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut stderr)).transpose()?;
    if !status.success() || stdout != subject.says {
        bail!("{status}; stdout {stdout:?}, stderr {stderr:?}");
    }
    Ok(())
}
