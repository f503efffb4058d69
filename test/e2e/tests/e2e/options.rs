//! The runtime's options, as in containerd's configuration, and the daemon's cgroup and OOM score.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::runner::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("option-unknown", unknown),
        Scenario::ours("option-wrong-type", wrong_type),
        Scenario::ours("option-shim-cgroup", shim_cgroup),
        Scenario::ours("option-root", root),
        Scenario::ours("option-io-owner", io_owner),
        Scenario::ours("option-keyring", keyring),
        Scenario::ours("option-linux-programs", linux_programs),
        Scenario::ours("option-engines", engines),
        Scenario::ours("option-allowed-outbound", allowed_outbound),
        Scenario::ours("daemon-oom-score", oom_score),
    ]
}

/// A run with the driver's options, followed by `more`.
pub fn with<'a>(daemon: &'a Containerd, id: &str, more: &str) -> Result<Run<'a>> {
    let path = daemon.scope.dir.join("tmp").join(format!("{id}.toml"));
    fs::write(&path, format!("{}{more}", daemon.shim.driver.options().unwrap_or_default()))?;
    Ok(daemon.run(id).options(&path))
}

/// An unknown key is named in containerd's log, and is otherwise ignored.
fn unknown(daemon: &Containerd) -> Result<()> {
    let mark = daemon.log_mark();
    with(daemon, "warned", "NoSuchKey = 1\n")?.args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    let log = daemon.log_tail(mark);
    ensure!(log.contains("NoSuchKey"), "containerd's log says {log:?}");
    Ok(())
}

fn wrong_type(daemon: &Containerd) -> Result<()> {
    let output = with(daemon, "refused", "IoUid = 'root'\n")?.args(Guest::Wasm.hello()).finish()?;
    ensure!(output.code != 0, "it ran");
    output.complains("the runtime options are not what the shim understands").map(drop)
}

/// The daemon moves into the cgroup; its containers do not.
fn shim_cgroup(daemon: &Containerd) -> Result<()> {
    let name = format!("{}-shim", daemon.scope.tag);
    let dirs: Vec<PathBuf> = hierarchies()?.into_iter().map(|root| root.join(&name)).collect();
    dirs.iter().try_for_each(fs::create_dir_all)?;
    let done = || -> Result<()> {
        let run = with(daemon, "placed", &format!("ShimCgroup = '/{name}'\n"))?;
        run.args(Guest::Wasm.ready()).detach()?;
        let shim = daemon.shim_of("placed")?;
        let group = fs::read_to_string(format!("/proc/{}/cgroup", shim.pid))?;
        ensure!(group.lines().any(|line| line.ends_with(&format!("/{name}"))), "the daemon is in {group}");
        let task = fs::read_to_string(format!("/proc/{}/cgroup", daemon.task("placed")?.pid))?;
        ensure!(
            !task.lines().any(|line| line.ends_with(&format!(":memory:/{name}"))),
            "the guest is in {task}"
        );
        daemon.kill_and_delete("placed")
    };
    let done = done();
    // The daemon takes a moment to exit.
    for dir in dirs {
        e2e::process::poll("the daemon to leave its cgroup", e2e::process::LIMIT, || {
            Ok(fs::remove_dir(&dir).ok())
        })?;
    }
    done
}

/// Where cgroups are mounted: v1's memory hierarchy, or v2's only one.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = |kind: &str| -> Vec<PathBuf> {
        let lines = table.lines().filter(|line| line.contains(kind));
        lines.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
    };
    let v1: Vec<_> =
        points(" - cgroup cgroup").into_iter().filter(|point| point.ends_with("memory")).collect();
    Ok(if v1.is_empty() { points(" - cgroup2 ") } else { v1 })
}

/// libcontainer's state of a Linux container is in the directory that the option names, and is removed with the
/// container.
fn root(daemon: &Containerd) -> Result<()> {
    let root = daemon.scope.dir.join("tmp/native-root");
    let run = with(daemon, "kept", &format!("Root = '{}'\n", root.display()))?;
    run.args(Guest::Native.ready()).detach()?;
    let state = root.join(&daemon.scope.tag).join("kept");
    ensure!(state.join("state.json").exists(), "nothing is in {}", state.display());
    daemon.kill_and_delete("kept")?;
    ensure!(!state.exists(), "{} is left", state.display());
    Ok(())
}

/// The pipes belong to the user and group of the options.
fn io_owner(daemon: &Containerd) -> Result<()> {
    let script = ["/bin/sh", "-c", "stat -L -c '%u %g' /proc/self/fd/1"];
    let run = with(daemon, "owner", "IoUid = 1234\nIoGid = 5678\n")?;
    run.args(&script).finish()?.ok()?.prints("1234 5678").map(drop)
}

/// A Linux program gets its own session keyring, unless `NoNewKeyring` is set.
fn keyring(daemon: &Containerd) -> Result<()> {
    for (id, more, own) in [("keyed", "", true), ("unkeyed", "NoNewKeyring = true\n", false)] {
        with(daemon, id, more)?.args(Guest::Native.ready()).detach()?;
        let keys = fs::read_to_string("/proc/keys").context("/proc/keys")?;
        ensure!(keys.contains(&format!(" _ses.{id}:")) == own, "{id}: the machine has these keys:\n{keys}");
        daemon.kill_and_delete(id)?;
    }
    Ok(())
}

/// With `deny` no Linux program runs as a container or an exec, whatever the annotations say, except a pod's sandbox.
fn linux_programs(daemon: &Containerd) -> Result<()> {
    let run = |id: &str| with(daemon, id, "LinuxPrograms = 'deny'\n");
    let output = run("denied")?.args(Guest::Native.hello()).finish()?;
    ensure!(output.code != 0, "it ran");
    output.complains("it is a Linux program, and the runtime's option LinuxPrograms denies those")?;
    let sandbox = run("paused")?.annotation("io.kubernetes.cri.container-type", "sandbox");
    sandbox.args(Guest::Native.hello()).finish()?.ok()?.prints("hello")?;
    let guest = run("guest")?.annotation("lighter.wasm/allow-native-exec", "true");
    guest.args(Guest::Wasm.ready()).detach()?;
    let output = daemon.exec("guest", "inside", Guest::Native.hello()).finish()?;
    ensure!(output.code != 0, "the exec ran");
    output.complains("the runtime's option LinuxPrograms denies those")?;
    daemon.exec("guest", "wasm", Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    daemon.kill_and_delete("guest")
}

/// A container that chooses an engine that is not allowed is refused; the error names the allowed ones.
fn engines(daemon: &Containerd) -> Result<()> {
    let hello = |allowed: &str| {
        Ok::<_, anyhow::Error>(
            with(daemon, "chosen", &format!("Engines = [{allowed}]\n"))?.args(Guest::Wasm.hello()),
        )
    };
    hello(&format!("'abacus', '{}'", daemon.shim.engine()))?.finish()?.ok()?.prints("hello")?;
    let output = hello("'abacus'")?.annotation("lighter.wasm/engine", "wasmtime").finish()?;
    ensure!(output.code != 0, "it ran");
    let output = output.complains("the annotation lighter.wasm/engine says \"wasmtime\"")?;
    output.complains("and the runtime's option Engines allows only abacus")?;
    let output = hello("")?.finish()?;
    ensure!(output.code != 0, "it ran");
    output.complains("the runtime's option Engines allows none").map(drop)
}

/// No annotation can allow what the option does not; an invalid rule fails Create.
fn allowed_outbound(daemon: &Containerd) -> Result<()> {
    let client = |id: &str, floor: &str| {
        let run = with(daemon, id, &format!("AllowedOutbound = '{floor}'\n"))?;
        let run = run.annotation("lighter.wasm/allowed-outbound", "*");
        Ok::<_, anyhow::Error>(run.args(&["/guests/socket-client.wasm", "http://127.0.0.1:9/"]))
    };
    let words =
        "lighter: the guest may not connect to 127.0.0.1:9: the option AllowedOutbound does not name it";
    client("floored", "10.0.0.0/8")?.finish()?.exits(1)?.complains(words)?;
    let output = client("floored", "127.0.0.1")?.finish()?.exits(1)?;
    ensure!(!output.stderr.contains("may not"), "an allowed address is refused: {}", output.stderr);
    let output = client("wrong", "https://a.test")?.finish()?;
    ensure!(output.code != 0, "it ran");
    output.complains("the option AllowedOutbound names \"https://a.test\", which is a URL").map(drop)
}

/// When memory runs out, the kernel kills a pod's daemon before containerd.
fn oom_score(daemon: &Containerd) -> Result<()> {
    daemon.run("scored").args(Guest::Wasm.ready()).detach()?;
    let score = |pid: i32| -> Result<i32> {
        let path = Path::new("/proc").join(pid.to_string()).join("oom_score_adj");
        Ok(fs::read_to_string(&path).with_context(|| path.display().to_string())?.trim().parse()?)
    };
    let processes = daemon.scope.processes()?;
    let containerd = processes.iter().find(|process| process.is_containerd()).context("no containerd")?;
    let (own, its) = (score(daemon.shim_of("scored")?.pid)?, score(containerd.pid)?);
    ensure!(own == (its + 1).min(1000), "the daemon's is {own}, containerd's {its}");
    daemon.kill_and_delete("scored")
}
