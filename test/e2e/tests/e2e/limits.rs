//! What is changed on a container that runs, and what is told of it: pause, resume, update, figures, the
//! end of memory.

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

/// A limit in bytes that a guest reaches in a moment.
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

/// A frozen container does nothing, is shown as such, takes no exec, and goes on where it was.
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
    ensure!(one == other, "it works while it is paused");
    let refused = daemon.exec("sleeper", "early", guest.hello()).finish()?;
    ensure!(refused.code != 0, "an exec ran in a paused container");
    daemon.resume_task("sleeper")?;
    ensure!(daemon.task("sleeper")?.status == "RUNNING", "{:?}", daemon.task("sleeper"));
    poll("it to work again", LIMIT, || Ok((kernel::cpu_time(pid)? > other).then_some(())))?;
    listener.hears("sleeper", &["/tasks/create", "/tasks/start", "/tasks/paused", "/tasks/resumed"])?;
    daemon.kill_and_delete("sleeper")
}

/// On a host that gives a service little address space guests run all the same: with checks in their code
/// instead of room around their memories.
fn small_address_space(daemon: &Containerd) -> Result<()> {
    let containerd = daemon.pid()?;
    let limit = |most: &str| {
        let soft = format!("--as={most}:");
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

/// `ctr tasks metrics` shows what the kernel's files say.
fn metrics(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("counted").flag("--memory-limit", &LIMIT_BYTES.to_string()).args(guest.ready()).detach()?;
    let pid = daemon.task("counted")?.pid;
    let told = daemon.metrics("counted")?;
    let pointer = |v1: &str, v2: &str| told.pointer(v1).or(told.pointer(v2)).and_then(Value::as_u64);
    let limit = pointer("/memory/usage/limit", "/memory/usage_limit");
    ensure!(limit == Some(LIMIT_BYTES), "limit {limit:?} in {told}");
    let (v1, kernels) = match kernel::cgroup(pid, "memory") {
        Ok(folder) => (true, number(folder.join("memory.usage_in_bytes"))?),
        Err(_) => (false, number(kernel::cgroup(pid, "")?.join("memory.current"))?),
    };
    let usage = pointer("/memory/usage/usage", "/memory/usage").context("no memory usage")?;
    ensure!(usage.abs_diff(kernels) < 4 << 20, "memory {usage}, the kernel says {kernels}");
    let told = |path: &str| told.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path}"));
    let cpu = if v1 { told("/cpu/usage/total")? } else { told("/cpu/usage_usec")? * 1000 };
    let spent = match v1 {
        true => number(kernel::cgroup(pid, "cpuacct")?.join("cpuacct.usage"))?,
        false => cpu,
    };
    ensure!(cpu > 0 && cpu.abs_diff(spent) < 50_000_000, "CPU time {cpu}, the kernel says {spent}");
    ensure!(told("/pids/current")? == 1, "{:?} processes", told("/pids/current"));
    daemon.kill_and_delete("counted")
}

/// A container that has ended still has its figures, until it is deleted.
fn metrics_after_exit(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("counted").args(guest.ready()).detach()?;
    daemon.kill("counted", "SIGKILL", false)?;
    daemon.becomes("counted", "STOPPED")?;
    let told = daemon.metrics("counted")?;
    let cpu = told.pointer("/cpu/usage/total").or(told.pointer("/cpu/usage_usec"));
    ensure!(cpu.and_then(Value::as_u64).unwrap_or(0) > 0, "no CPU time in {told}");
    daemon.delete_task("counted", 137)?;
    daemon.delete_container("counted")
}

fn number(path: PathBuf) -> Result<u64> {
    Ok(fs::read_to_string(&path).with_context(|| path.display().to_string())?.trim().parse()?)
}

/// containerd is told that memory ran out, before it is told of the end.
fn oom(daemon: &Containerd) -> Result<()> {
    let listener = Listener::start(daemon)?;
    let greedy = ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let run = daemon.run("greedy").flag("--memory-limit", &(16 << 20).to_string());
    run.args(&greedy).finish()?.exits(137)?;
    listener.hears("greedy", &["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"])
}

/// So it is where a guest traps because its limit refused it memory, and the figures count it; one that is refused, and
/// ends in its own way, ran out of nothing.
fn wasm_oom(daemon: &Containerd) -> Result<()> {
    let listener = Listener::start(daemon)?;
    let limited = |id: &str, guest: &'static [&'static str]| {
        daemon.run(id).flag("--memory-limit", &(32 << 20).to_string()).args(guest)
    };
    limited("greedy", &["/cases/memory-trap.wasm"]).detach_to("file:///dev/null")?;
    daemon.becomes("greedy", "STOPPED")?;
    let told = daemon.metrics("greedy")?;
    let kills = told.pointer("/memory_oom_control/oom_kill").or(told.pointer("/memory_events/oom_kill"));
    ensure!(kills.and_then(Value::as_u64) == Some(1), "no want of memory in {told}");
    daemon.delete_task("greedy", 134)?;
    daemon.delete_container("greedy")?;
    listener.hears("greedy", &["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"])?;
    limited("modest", &["/cases/memory-bound.wasm"]).finish()?.ok()?;
    limited("faulty", &["/cases/trap.wasm"]).finish()?.exits(134)?;
    for id in ["modest", "faulty"] {
        listener.hears(id, &["/tasks/create", "/tasks/start", "/tasks/exit"])?;
    }
    Ok(())
}

/// A guest that takes, and uses, all it is given is told no before the kernel has to kill it.
fn grow_refused(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("grower").flag("--memory-limit", &LIMIT_BYTES.to_string());
    let output = run.args(&["/guests/grow.wasm"]).finish()?;
    let most = i32::try_from(LIMIT_BYTES >> 20)?;
    ensure!((most * 3 / 4..most).contains(&output.code), "it ended with {} of {most}", output.code);
    let output = daemon.run("grower").args(&["/guests/grow.wasm"]).finish()?;
    ensure!(output.code == 200, "without a limit it ended with {}", output.code);
    Ok(())
}

/// Nothing pretends to make one.
fn checkpoint(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("kept").args(guest.ready()).detach()?;
    let output = run(&mut daemon.ctr(["tasks", "checkpoint", "kept"]))?;
    output.complains("makes no checkpoints")?;
    daemon.becomes("kept", "RUNNING")?;
    daemon.kill_and_delete("kept")
}
