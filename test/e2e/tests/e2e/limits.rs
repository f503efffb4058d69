//! Pause, resume, limits, statistics and OOM of a running container.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{LIMIT, poll, run};
use e2e::runner::Scenario;
use serde_json::Value;

use crate::lifecycle::{Listener, both};

/// A memory limit, in bytes, that a guest reaches quickly.
const LIMIT_BYTES: u64 = 64 << 20;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(both("pause", pause));
    scenarios.extend(both("pause-kill", pause_kill));
    scenarios.extend(both("metrics", metrics));
    scenarios.extend(both("metrics-after-exit", metrics_after_exit));
    scenarios.push(Scenario::any("native-oom", oom));
    scenarios.push(Scenario::ours("wasm-oom", wasm_oom));
    scenarios.push(Scenario::ours("wasm-grow-refused", grow_refused));
    scenarios.push(Scenario::ours("wasm-small-address-space", small_address_space));
    scenarios.push(Scenario::ours("wasm-checkpoint", |daemon| checkpoint(daemon, Guest::Wasm)));
    scenarios.push(Scenario::ours("native-checkpoint", |daemon| checkpoint(daemon, Guest::Native)));
    scenarios
}

/// A frozen container does not run, is shown as paused, accepts no exec, and resumes where it was.
fn pause(daemon: &Containerd, guest: Guest) -> Result<()> {
    let listener = Listener::start(daemon)?;
    let args: &[&str] = match guest {
        Guest::Wasm => &["/cases/stop-busy.wasm"],
        Guest::Native => &["/bin/sh", "-c", "echo ready; while :; do :; done"],
    };
    daemon.run("sleeper").args(args).detach()?;
    let pid = daemon.task("sleeper")?.pid;
    daemon.pause("sleeper")?;
    ensure!(daemon.task("sleeper")?.status == "PAUSED", "{:?}", daemon.task("sleeper"));
    let (one, other) = (kernel::cpu_time(pid)?, kernel::cpu_time(pid)?);
    ensure!(one == other, "it runs while it is paused");
    let refused = daemon.exec("sleeper", "early", guest.hello()).finish()?;
    ensure!(refused.code != 0, "an exec ran in a paused container");
    daemon.resume_task("sleeper")?;
    ensure!(daemon.task("sleeper")?.status == "RUNNING", "{:?}", daemon.task("sleeper"));
    poll("it to run again", LIMIT, || Ok((kernel::cpu_time(pid)? > other).then_some(())))?;
    listener.receives("sleeper", &["/tasks/create", "/tasks/start", "/tasks/paused", "/tasks/resumed"])?;
    daemon.kill_and_delete("sleeper")
}

/// On a host with a small RLIMIT_AS guests run all the same: with bounds checks in their code instead of
/// guard regions around their memories.
fn small_address_space(daemon: &Containerd) -> Result<()> {
    let containerd = daemon.pid()?;
    let limit = |max: &str| {
        let soft = format!("--as={max}:");
        run(Command::new("prlimit").args(["--pid", &containerd.to_string(), &soft]))?.ok()
    };
    limit("4294967296")?;
    let ran =
        ["/cases/hello.wasm", "/cases/component.wasm", "/cases/memory-grow.wasm", "/cases/trap-memory.wasm"]
            .map(|path| daemon.run("narrow").args(&[path]).finish());
    limit("unlimited")?;
    let [hello, component, grow, trap] = ran;
    hello?.ok()?.prints("hello from a lighter")?;
    component?.ok()?;
    grow?.ok()?;
    trap?.exits(134)?.complains("out of bounds").map(drop)
}

/// Even a frozen container can be killed.
fn pause_kill(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("sleeper").args(guest.ready()).detach()?;
    daemon.pause("sleeper")?;
    daemon.kill_and_delete("sleeper")
}

/// `ctr tasks metrics` shows the values of the kernel's files.
fn metrics(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("counted").flag("--memory-limit", &LIMIT_BYTES.to_string()).args(guest.ready()).detach()?;
    let pid = daemon.task("counted")?.pid;
    let stats = daemon.metrics("counted")?;
    let pointer = |v1: &str, v2: &str| stats.pointer(v1).or(stats.pointer(v2)).and_then(Value::as_u64);
    let limit = pointer("/memory/usage/limit", "/memory/usage_limit");
    ensure!(limit == Some(LIMIT_BYTES), "limit {limit:?} in {stats}");
    let (v1, kernels) = match kernel::cgroup(pid, "memory") {
        Ok(dir) => (true, number(dir.join("memory.usage_in_bytes"))?),
        Err(_) => (false, number(kernel::cgroup(pid, "")?.join("memory.current"))?),
    };
    let usage = pointer("/memory/usage/usage", "/memory/usage").context("no memory usage")?;
    ensure!(usage.abs_diff(kernels) < 4 << 20, "memory {usage}, the kernel says {kernels}");
    let stats =
        |path: &str| stats.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path}"));
    let cpu = if v1 { stats("/cpu/usage/total")? } else { stats("/cpu/usage_usec")? * 1000 };
    let spent = match v1 {
        true => number(kernel::cgroup(pid, "cpuacct")?.join("cpuacct.usage"))?,
        false => cpu,
    };
    ensure!(cpu > 0 && cpu.abs_diff(spent) < 50_000_000, "CPU time {cpu}, the kernel says {spent}");
    ensure!(stats("/pids/current")? == 1, "{:?} processes", stats("/pids/current"));
    daemon.kill_and_delete("counted")
}

/// A container that has ended keeps its statistics until it is deleted.
fn metrics_after_exit(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("counted").args(guest.ready()).detach()?;
    daemon.kill("counted", "SIGKILL", false)?;
    daemon.becomes("counted", "STOPPED")?;
    let stats = daemon.metrics("counted")?;
    let cpu = stats.pointer("/cpu/usage/total").or(stats.pointer("/cpu/usage_usec"));
    ensure!(cpu.and_then(Value::as_u64).unwrap_or(0) > 0, "no CPU time in {stats}");
    daemon.delete_task("counted", 137)?;
    daemon.delete_container("counted")
}

fn number(path: PathBuf) -> Result<u64> {
    Ok(fs::read_to_string(&path).with_context(|| path.display().to_string())?.trim().parse()?)
}

/// containerd receives the OOM event before the exit event.
fn oom(daemon: &Containerd) -> Result<()> {
    let listener = Listener::start(daemon)?;
    let greedy = ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let run = daemon.run("greedy").flag("--memory-limit", &(16 << 20).to_string());
    run.args(&greedy).finish()?.exits(137)?;
    listener.receives("greedy", &["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"])
}

/// A guest that traps because its limit refused it memory counts as OOM, in the events and in the statistics; one that
/// handles the refusal and ends by itself does not.
fn wasm_oom(daemon: &Containerd) -> Result<()> {
    let listener = Listener::start(daemon)?;
    let limited = |id: &str, guest: &'static [&'static str]| {
        daemon.run(id).flag("--memory-limit", &(32 << 20).to_string()).args(guest)
    };
    limited("greedy", &["/cases/memory-trap.wasm"]).detach_to("file:///dev/null")?;
    daemon.becomes("greedy", "STOPPED")?;
    let stats = daemon.metrics("greedy")?;
    let kills = stats.pointer("/memory_oom_control/oom_kill").or(stats.pointer("/memory_events/oom_kill"));
    ensure!(kills.and_then(Value::as_u64) == Some(1), "no OOM kill in {stats}");
    daemon.delete_task("greedy", 134)?;
    daemon.delete_container("greedy")?;
    listener.receives("greedy", &["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"])?;
    limited("modest", &["/cases/memory-bound.wasm"]).finish()?.ok()?;
    limited("faulty", &["/cases/trap.wasm"]).finish()?.exits(134)?;
    for id in ["modest", "faulty"] {
        listener.receives(id, &["/tasks/create", "/tasks/start", "/tasks/exit"])?;
    }
    Ok(())
}

/// A guest that allocates and uses all memory it can get is refused more before the kernel's OOM killer acts.
fn grow_refused(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("grower").flag("--memory-limit", &LIMIT_BYTES.to_string());
    let output = run.args(&["/guests/grow.wasm"]).finish()?;
    let max = i32::try_from(LIMIT_BYTES >> 20)?;
    ensure!((max * 3 / 4..max).contains(&output.code), "it ended with {} of {max}", output.code);
    let output = daemon.run("grower").args(&["/guests/grow.wasm"]).finish()?;
    ensure!(output.code == 200, "without a limit it ended with {}", output.code);
    Ok(())
}

/// A checkpoint is refused, and the container runs on.
fn checkpoint(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("kept").args(guest.ready()).detach()?;
    let output = run(&mut daemon.ctr(["tasks", "checkpoint", "kept"]))?;
    output.complains("makes no checkpoints")?;
    daemon.becomes("kept", "RUNNING")?;
    daemon.kill_and_delete("kept")
}
