//! What remains when a shim's daemon or containerd itself dies in the middle of a run.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use e2e::census::Census;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use e2e::scope::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lifecycle::both;
use crate::options::with;

/// How often a daemon is killed while it creates.
const TRIES: u32 = 10;
/// A guest that takes long to compile.
const BIG: &str = "/cases/big.wasm";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("shim-killed", shim_killed));
    scenarios.push(Scenario::ours("shim-killed-in-create", killed_in_create));
    scenarios.extend(both("containerd-restarted", |daemon, guest| restarted(daemon, guest, Signal::SIGTERM)));
    scenarios.extend(both("containerd-killed", |daemon, guest| restarted(daemon, guest, Signal::SIGKILL)));
    scenarios
}

/// containerd calls the shim's binary to clean up; the census after the scenario finds what it missed.
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

/// Killed at random moments of a long Create: `ctr` fails, and nothing is left behind.
fn killed_in_create(daemon: &Containerd) -> Result<()> {
    let start = Instant::now();
    // Without a cache each Create takes as long as the first.
    let run = |id: &str| with(daemon, id, "CacheDir = 'off'\n").map(|run| run.args(&[BIG]));
    run("whole")?.finish()?.ok()?;
    // The rest is start and end, when nothing is being created.
    let create = start.elapsed() * 3 / 4;
    let mut torn = 0;
    for round in 1..=TRIES {
        let before = Census::take(daemon)?;
        let id = format!("torn-{round}");
        let mut running = run(&id)?.start()?;
        poll("the daemon", LIMIT, || Ok(daemon.shim_of(&id).ok()))?;
        let chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_micros() % 1000;
        let moment = create * chance / 1000;
        thread::sleep(moment);
        // Until `start` has exited, it looks like the daemon, instead of its child. On a machine that got
        // faster in the meantime the run may be over by now.
        let shim = poll("the daemon alone, or the end", LIMIT, || {
            let alone = daemon.shim_of(&id).ok().filter(|shim| !child_of_containerd(daemon, shim));
            Ok(if running.ended()? { Some(None) } else { alone.map(Some) })
        })?;
        if let Some(shim) = shim {
            // It may end by itself between the check and the signal.
            let _ = kill(Pid::from_raw(shim.pid), Signal::SIGKILL);
        }
        let tried = || format!("try {round}, killed after {} ms", moment.as_millis());
        let output = running.finish(LIMIT).with_context(tried)?;
        torn += u32::from(output.code != 0);
        before.settled(daemon).with_context(tried)?;
    }
    ensure!(torn > 0, "in {TRIES} tries no Create was hit");
    Ok(())
}

fn child_of_containerd(daemon: &Containerd, shim: &Process) -> bool {
    let processes = daemon.scope.processes().unwrap_or_default();
    processes.iter().any(|process| process.is_containerd() && process.pid == shim.parent)
}

/// The task survives containerd's restart, is found again, and can be killed and deleted.
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
