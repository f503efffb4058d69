//! From RunPodSandbox to RemovePodSandbox: states, exit codes, grace periods, the pause container.

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::cri::Cri;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll, run};
use e2e::runner::Scenario;
use e2e::{cri, image};
use k8s_cri::v1::{ContainerState, PodSandboxState};
use nix::sys::signal::Signal;

use super::both;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(both("life", life));
    scenarios.extend(both("life-forced", forced));
    scenarios.extend(both("stop-signal", stop_signal));
    scenarios.push(cri::any("cri-native-grace", grace));
    scenarios.push(cri::any("cri-other-pause", other_pause));
    scenarios.push(cri::ours("cri-annotations", annotations));
    scenarios
}

/// Each step of a pod's life cycle; nothing is left behind.
fn life(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("life").run()?;
    ensure!(pod.status()?.state() == PodSandboxState::SandboxReady, "the pod is {:?}", pod.status()?);
    let hello = pod.container("hello").args(guest.hello()).create()?;
    counted(cri)?;
    ensure!(hello.status()?.state() == ContainerState::ContainerCreated, "{:?}", hello.status()?);
    hello.start()?;
    hello.finish()?.ok()?.prints("hello")?;
    ensure!(hello.status()?.reason == "Completed", "{:?}", hello.status()?);
    hello.remove()?;
    let ready = pod.container("ready").ready(guest)?;
    let start = Instant::now();
    ready.stop(20)?;
    ensure!(start.elapsed().as_secs() < 5, "stopping it took {} s", start.elapsed().as_secs());
    let status = ready.status()?;
    ensure!(status.exit_code == 143 && status.reason == "Error", "{status:?}");
    ready.remove()?;
    pod.stop()?;
    ensure!(pod.status()?.state() == PodSandboxState::SandboxNotready, "the pod is {:?}", pod.status()?);
    pod.remove()
}

/// The census sees all parts of a pod: otherwise it could not notice leftovers.
fn counted(cri: &Cri<'_>) -> Result<()> {
    let state = cri.daemon.scope.state();
    for part in ["/sandboxes/", "/containers/", "/netns/", "/cni/networks/", "/results/", "runtime.v2.task"] {
        let seen = state.iter().any(|path| path.to_string_lossy().contains(part));
        ensure!(seen, "the census sees nothing of {part} in {state:?}");
    }
    Ok(())
}

/// Every step is idempotent, and the last one alone stops and removes everything.
fn forced(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("forced").run()?;
    let twice = pod.container("twice").ready(guest)?;
    twice.stop(20)?;
    twice.stop(20)?;
    twice.remove()?;
    let running = pod.container("running").ready(guest)?;
    running.remove()?;
    pod.container("created").args(guest.hello()).create()?;
    pod.container("left").ready(guest)?;
    pod.stop()?;
    pod.stop()?;
    pod.remove()?;
    let pod = cri.pod("forced").run()?;
    pod.container("left").ready(guest)?;
    pod.remove()
}

/// The image's STOPSIGNAL is used.
fn stop_signal(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let script = "trap 'exit 9' USR1; trap '' TERM; echo ready; sleep 1000 & wait";
    let pod = cri.pod("signal").run()?;
    let plan = pod.container("one").image(image::STOP_USR1);
    let (plan, code) = match guest {
        Guest::Wasm => (plan.args(guest.ready()), 128 + Signal::SIGUSR1 as i32),
        Guest::Native => (plan.script(script), 9),
    };
    let container = plan.start()?;
    container.says("ready")?;
    container.stop(20)?;
    ensure!(container.status()?.exit_code == code, "{:?}", container.status()?);
    Ok(())
}

/// A container that ignores SIGTERM is killed after the grace period; stopping the pod kills the others.
fn grace(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("grace").run()?;
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let deaf = pod.container("deaf").script(script).start()?;
    let other = pod.container("other").script(script).start()?;
    deaf.says("ready")?;
    other.says("ready")?;
    let start = Instant::now();
    deaf.stop(1)?;
    let took = start.elapsed().as_secs_f64();
    ensure!((0.9..4.0).contains(&took), "a grace period of 1 s took {took:.1} s");
    ensure!(deaf.status()?.exit_code == 137, "{:?}", deaf.status()?);
    pod.stop()?;
    ensure!(other.status()?.exit_code == 137, "{:?}", other.status()?);
    pod.remove()
}

/// The pause container can be any image.
fn other_pause(cri: &Cri<'_>) -> Result<()> {
    let kept = format!("{}-kept", image::PAUSE);
    retag(cri, image::PAUSE, &kept)?;
    let ran = retag(cri, image::OTHER_PAUSE, image::PAUSE).and_then(|()| sleeping_pause(cri));
    retag(cri, &kept, image::PAUSE)?;
    ran
}

/// Tags the image `from` as `to`.
fn retag(cri: &Cri<'_>, from: &str, to: &str) -> Result<()> {
    run(&mut cri.daemon.ctr(["images", "tag", "--force", from, to]))?.ok()?;
    let same = || Ok((cri.image(from)?.is_some() && cri.image(from)? == cri.image(to)?).then_some(()));
    poll("containerd to know the image's new name", LIMIT, same)
}

fn sleeping_pause(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("other").run()?;
    // Start may return just before the program is executed.
    let line = format!("/proc/{}/cmdline", pod.pid()?);
    let runs = || Ok((fs::read(&line)? == b"/bin/sleep\x001000\x00").then_some(()));
    poll("the pause to run what the spec says", LIMIT, runs)?;
    pod.container("hello").args(Guest::Native.hello()).finish()?.ok()?.prints("hello")?;
    pod.stop()?;
    pod.remove()
}

/// A pod's annotations about Wasm reach the shim; others do not.
fn annotations(cri: &Cri<'_>) -> Result<()> {
    let passed = ["lighter.wasm/engine", "run.oci.handler", "module.wasm.image/variant", "wasm.memory"];
    let plan = passed.iter().fold(cri.pod("noted"), |plan, key| plan.annotation(key, "wasmtime"));
    let pod = plan.annotation("example.org/other", "this").run()?;
    let container = pod.container("one").args(Guest::Wasm.hello()).create()?;
    let spec = cri.daemon.spec_of(&container.id)?;
    let noted = |key: &str| spec["annotations"][key] == "wasmtime";
    ensure!(passed.iter().all(|key| noted(key)), "the spec has the annotations {}", spec["annotations"]);
    ensure!(!noted("example.org/other"), "the spec has the annotations {}", spec["annotations"]);
    Ok(())
}
