//! What is left when a shim's daemon or containerd itself dies in the middle of a run.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::poll;
use e2e::runner::Scenario;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lifecycle::both;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("shim-killed", shim_killed));
    scenarios.extend(both("containerd-restarted", |daemon, guest| restarted(daemon, guest, Signal::SIGTERM)));
    scenarios.extend(both("containerd-killed", |daemon, guest| restarted(daemon, guest, Signal::SIGKILL)));
    scenarios
}

/// containerd asks the shim's binary to clean up; the census after the scenario says what it missed.
fn shim_killed(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("orphan").args(guest.ready()).detach()?;
    let shim = daemon.shim_of("orphan")?;
    let task = daemon.task("orphan")?;
    kill(Pid::from_raw(shim.pid), Signal::SIGKILL)?;
    poll("containerd to forget the task", Duration::from_secs(15), || {
        Ok(daemon.tasks()?.is_empty().then_some(()))
    })?;
    poll("the guest to end", Duration::from_secs(5), || {
        let alive = daemon.scope.processes()?.iter().any(|process| process.pid == task.pid);
        Ok((!alive).then_some(()))
    })?;
    daemon.delete_container("orphan")
}

/// The task survives containerd, is found again, and can be killed and deleted.
fn restarted(daemon: &Containerd, guest: Guest, signal: Signal) -> Result<()> {
    daemon.run("survivor").args(guest.ready()).detach()?;
    let before = daemon.task("survivor")?;
    daemon.stop(signal)?;
    let alive = daemon.scope.processes()?.iter().any(|process| process.pid == before.pid);
    daemon.resume()?;
    ensure!(alive, "the guest ended with containerd");
    let after = daemon.task("survivor").context("after the restart")?;
    ensure!(after == before, "{before:?} became {after:?}");
    daemon.kill_and_delete("survivor")
}
