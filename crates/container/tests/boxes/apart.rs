//! Runs work in a process of its own and leaves nothing behind, however it ends.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use container::birth;
use container::channel::Channel;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::set_child_subreaper;

/// How long one case may take: a hundred times what it needs.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// How long the kernel may take to end a killed process.
const TO_DIE: Duration = Duration::from_secs(5);

/// Runs `work` in a child. All its processes are gone when this returns.
///
/// # Errors
/// Those of `work`; also when it took too long, or its process ended by itself.
pub fn apart(work: impl FnOnce() -> Result<()>) -> Result<()> {
    // The child's orphans become this process's children, so that it finds them.
    set_child_subreaper(Some(rustix::process::getpid())).context("cannot adopt orphans")?;
    let (ours, theirs) = Channel::pair()?;
    if birth::child()?.is_none() {
        drop(ours);
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow!("it panicked")));
        // Fails only when the parent is gone.
        let _ = theirs.send(&done.err().map(|error| format!("{error:#}")), &[]);
        birth::exit_now(0);
    }
    drop(theirs);
    let outcome = receive(&ours);
    bury()?;
    outcome
}

fn receive(line: &Channel) -> Result<()> {
    if poll(&mut [PollFd::new(line, PollFlags::IN)], Some(&PATIENCE))? == 0 {
        bail!("not done in {} s", PATIENCE.tv_sec);
    }
    match line.receive::<Option<String>>()? {
        Some((None, _)) => Ok(()),
        Some((Some(sentence), _)) => Err(Error::msg(sentence)),
        None => bail!("its process has ended by itself"),
    }
}

/// Kills and reaps every child, including orphans, until none is left.
fn bury() -> Result<()> {
    let end = Instant::now() + TO_DIE;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) => {}
            reaped => {
                reaped?;
                continue;
            }
        }
        ensure!(Instant::now() < end, "processes are left: {:?}", children()?);
        for child in children()? {
            // It may have ended by itself since.
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        sleep(Duration::from_millis(1));
    }
}

fn children() -> Result<Vec<i32>> {
    let is_ours = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(&getpid().to_string())
    };
    let listed = fs::read_dir("/proc")?.flatten();
    Ok(listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect())
}
