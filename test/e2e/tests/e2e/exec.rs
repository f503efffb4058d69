//! Execs: another process, a guest or a Linux program, in a running container.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use crate::data::shared_dir;
use crate::jail::USER;
use crate::lifecycle::both;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(both("exec", exec));
    scenarios.extend(both("exec-stdin", stdin));
    scenarios.extend(both("exec-missing", missing));
    scenarios.extend(both("exec-killed", killed));
    scenarios.extend(both("exec-ends-with-container", ends_with_container));
    scenarios.extend(both("exec-inside", inside));
    scenarios.extend(both("exec-volume", volume));
    scenarios.extend(both("exec-many", many));
    scenarios.push(Scenario::ours("wasm-exec-function", function));
    scenarios.push(Scenario::ours("wasm-exec-native-refused", native_refused));
    scenarios.push(Scenario::ours("wasm-exec-native-allowed", native_allowed));
    scenarios.push(Scenario::ours("wasm-exec-power", power));
    scenarios.push(Scenario::any("native-exec-process", process));
    scenarios.push(Scenario::any("native-exec-filter", filter));
    scenarios
}

fn exec(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    daemon.exec("host", "one", guest.hello()).finish()?.ok()?.prints("hello")?;
    daemon.exec("host", "one", guest.three()).finish()?.exits(3).context("the same name again")?;
    ensure!(daemon.task("host")?.status == "RUNNING", "the container ended with its exec");
    daemon.kill_and_delete("host")
}

fn stdin(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let mut running = daemon.exec("host", "cat", guest.cat()).start()?;
    running.types("one\n")?;
    // ctr passes the end of its stdin on only once the process runs.
    running.says("one", LIMIT)?;
    running.feed("two\n")?;
    running.finish(LIMIT)?.ok()?.prints("one\ntwo")?;
    daemon.kill_and_delete("host")
}

/// The error names the missing program; nothing of the exec remains and the container lives on.
fn missing(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let output = daemon.exec("host", "none", &["/no/such/file"]).finish()?;
    ensure!(output.code != 0, "it ran");
    output.complains("/no/such/file")?.complains("no such file")?;
    daemon.exec("host", "none", guest.hello()).finish()?.ok()?.prints("hello")?;
    daemon.kill_and_delete("host")
}

/// A signal to the exec reaches only the exec.
fn killed(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let mut running = daemon.exec("host", "long", guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill_exec("host", "long", "SIGTERM")?;
    // As pid 1 `sleep` would ignore the signal; an exec is not pid 1.
    running.finish(LIMIT)?.exits(143)?;
    ensure!(daemon.task("host")?.status == "RUNNING", "the container ended with its exec");
    daemon.kill_and_delete("host")
}

fn ends_with_container(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let mut running = daemon.exec("host", "long", guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    daemon.kill("host", "SIGKILL", false)?;
    running.finish(LIMIT)?.exits(137)?;
    daemon.becomes("host", "STOPPED")?;
    daemon.delete_task("host", 137)?;
    daemon.delete_container("host")
}

/// The exec is in the container's namespaces and cgroup, and in its list of processes.
fn inside(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let mut running = daemon.exec("host", "long", guest.ready()).start()?;
    running.says("ready", LIMIT)?;
    let first = daemon.task("host")?.pid;
    let pids = daemon.pids("host")?;
    let other = *pids.iter().find(|pid| **pid != first).with_context(|| format!("only {pids:?}"))?;
    for name in ["pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let link = format!("ns/{name}");
        let (own, its) = (kernel::link(first, &link)?, kernel::link(other, &link)?);
        ensure!(own == its, "its {name} namespace differs");
        let host = kernel::link(i32::try_from(std::process::id())?, &link)?;
        ensure!(own != host || name == "cgroup", "its {name} namespace is the host's");
    }
    let cgroup = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup"));
    ensure!(cgroup(first)? == cgroup(other)?, "its cgroup differs");
    daemon.kill_exec("host", "long", "SIGKILL")?;
    running.finish(LIMIT)?.exits(137)?;
    daemon.kill_and_delete("host")
}

/// It sees the container's volumes.
fn volume(daemon: &Containerd, guest: Guest) -> Result<()> {
    let dir = shared_dir(daemon, &format!("exec-{}", guest.word()))?;
    daemon.run("host").bind(&dir, "/outbox", true).args(guest.ready()).detach()?;
    daemon.exec("host", "maker", guest.make()).finish()?.ok()?;
    ensure!(dir.join("made").exists(), "it made no file in the volume");
    daemon.kill_and_delete("host")
}

fn many(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let all: Vec<_> = (0..10)
        .map(|n| daemon.exec("host", &format!("n{n}"), guest.hello()).start())
        .collect::<Result<_>>()?;
    for running in all {
        running.finish(LIMIT)?.ok()?.prints("hello")?;
    }
    daemon.kill_and_delete("host")
}

fn function(daemon: &Containerd) -> Result<()> {
    daemon.run("host").args(Guest::Wasm.ready()).detach()?;
    daemon.exec("host", "function", &["/guests/hello.wasm#_start"]).finish()?.ok()?.prints("hello")?;
    let output = daemon.exec("host", "function", &["/guests/hello.wasm#none"]).finish()?;
    output.complains("none")?;
    daemon.kill_and_delete("host")
}

fn native_refused(daemon: &Containerd) -> Result<()> {
    daemon.run("host").args(Guest::Wasm.ready()).detach()?;
    let output = daemon.exec("host", "shell", &["/bin/sh", "-c", "echo in"]).finish()?;
    ensure!(output.stdout.is_empty() && output.code != 0, "it ran: {output:?}");
    output.complains("/bin/sh")?.complains("is a Linux program; this is a Wasm container")?;
    daemon.kill_and_delete("host")
}

/// With the annotation the program runs in the guest's container, with the privileges of the exec's own spec.
fn native_allowed(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("host").annotation("lighter.wasm/allow-native-exec", "true");
    run.args(Guest::Wasm.ready()).detach()?;
    let output =
        daemon.exec("host", "shell", &["/bin/sh", "-c", "echo in; ls /proc | wc -l; exit 4"]).finish()?;
    output.exits(4)?.prints("in\n0")?;
    daemon.kill_and_delete("host")
}

/// An exec'd guest has no more privileges than the first.
fn power(daemon: &Containerd) -> Result<()> {
    daemon.run("host").user(Some(USER)).args(Guest::Wasm.ready()).detach()?;
    let mut running = daemon.exec("host", "long", Guest::Wasm.ready()).start()?;
    running.says("ready", LIMIT)?;
    let first = daemon.task("host")?.pid;
    let other = poll("the exec", LIMIT, || Ok(daemon.pids("host")?.into_iter().find(|pid| *pid != first)))?;
    for key in
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups"]
    {
        let (own, its) = (kernel::status(first, key)?, kernel::status(other, key)?);
        ensure!(own == its, "{key} is {its:?}, the first process's {own:?}");
    }
    ensure!(kernel::threads(other)? == 1, "it has more than one thread");
    daemon.kill_exec("host", "long", "SIGKILL")?;
    running.finish(LIMIT)?.exits(137)?;
    daemon.kill_and_delete("host")
}

/// An exec has its own user, directory, environment and capabilities.
fn process(daemon: &Containerd) -> Result<()> {
    daemon.run("host").args(Guest::Native.ready()).env("A=b").detach()?;
    let shell = |script: &'static str| daemon.exec("host", "shell", &["/bin/sh", "-c", script]);
    shell("pwd").flag("--cwd", "/tmp").finish()?.ok()?.prints("/tmp")?;
    shell("id -u; id -g").flag("--user", "1234:5678").finish()?.ok()?.prints("1234\n5678")?;
    shell("echo $HOME").flag("--user", "4321:4321").finish()?.ok()?.prints("/keep")?;
    shell("cat /secret").flag("--user", "1234:5678").finish()?.complains("Permission denied")?;
    shell("echo $A").finish()?.ok()?.prints("b")?;
    daemon.exec("host", "path", &["echo", "found"]).finish()?.ok()?.prints("found")?;
    let output = daemon.exec("host", "path", &["no-such-program"]).finish()?;
    output.complains("executable file not found in $PATH")?;
    let caps = shell("grep Cap /proc/self/status").finish()?.ok()?.stdout;
    let first = fs::read_to_string(format!("/proc/{}/status", daemon.task("host")?.pid))?;
    for line in caps.lines() {
        ensure!(first.contains(line), "{line} is not what the first process has");
    }
    daemon.kill_and_delete("host")
}

/// The container's seccomp filter holds for its execs, too.
fn filter(daemon: &Containerd) -> Result<()> {
    let mut spec = daemon.default_spec("host", Guest::Native.ready())?;
    spec["linux"]["seccomp"] = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
    });
    let path = daemon.write_spec("host", &spec)?;
    daemon.run_spec("host", &path).detach()?;
    let output = daemon.exec("host", "shell", &["/bin/busybox", "mkdir", "/tmp/new"]).finish()?;
    output.exits(1)?.complains("Operation not permitted")?;
    daemon.kill_and_delete("host")
}
