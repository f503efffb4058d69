//! Pods that run on while containerd is down.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use e2e::cri::Cri;
use e2e::guests::Guest;
use e2e::runner::Scenario;
use k8s_cri::v1::{ContainerState, PodSandboxState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::both;
use super::logs::TICK;

/// How long containerd is down.
const AWAY: Duration = Duration::from_secs(2);

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios =
        Vec::from(both("containerd-restarted", |cri, guest| restarted(cri, guest, Signal::SIGTERM)));
    scenarios.extend(both("containerd-killed", |cri, guest| restarted(cri, guest, Signal::SIGKILL)));
    scenarios
}

/// Pods and containers are found again as they were, and requests to them work.
fn restarted(cri: &Cri<'_>, guest: Guest, signal: Signal) -> Result<()> {
    let pod = cri.pod("survivor").run()?;
    let container = pod.container("one").ready(guest)?;
    let ended = pod.container("ended").args(guest.hello()).start()?;
    ended.finish()?.ok()?;
    let ticks = pod.container("ticks").script(TICK).start()?;
    ticks.says("tick 1\n")?;
    let (pause, pid) = (pod.pid()?, container.pid()?);
    let missed = pod.container("missed").ready(guest)?;
    let missed_pid = missed.pid()?;
    cri.daemon.stop(signal)?;
    kill(Pid::from_raw(missed_pid), Signal::SIGKILL)?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
    thread::sleep(AWAY);
    cri.daemon.resume()?;
    cri.wait_until_ready()?;
    ensure!(pod.status()?.state() == PodSandboxState::SandboxReady, "the pod is {:?}", pod.status()?);
    ensure!(pod.pid()? == pause, "the pause's pid was {pause} and is {}", pod.pid()?);
    ensure!(container.status()?.state() == ContainerState::ContainerRunning, "{:?}", container.status()?);
    ensure!(container.pid()? == pid, "the container's pid was {pid} and is {}", container.pid()?);
    ensure!(ended.status()?.state() == ContainerState::ContainerExited, "{:?}", ended.status()?);
    // The exit that containerd missed, with its code and its time.
    let status = missed.ended()?;
    ensure!(status.exit_code == 137, "{status:?}");
    let off = Duration::from_nanos(u64::try_from(status.finished_at)?).abs_diff(at);
    ensure!(off < AWAY / 2, "the time of the exit is {off:?} off: {status:?}");
    // Output is logged again.
    let logged = ticks.log()?.len();
    ticks.says(&format!("tick {}\n", logged + 1))?;
    let late = pod.container("late").args(guest.hello()).finish()?;
    late.ok()?.prints("hello")?;
    container.exec(guest.hello(), 10)?.ok()?.prints("hello")?;
    container.stop(20)?;
    ensure!(container.status()?.exit_code == 143, "{:?}", container.status()?);
    pod.stop()?;
    pod.remove()
}
