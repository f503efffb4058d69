//! A pod cannot inspect a process that is still being set up in it: neither its root user nor `CAP_SYS_PTRACE` helps,
//! even where both share their user and PID namespaces.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use serde_json::{Value, json};

use crate::data::shared_dir;

const MAP: &str = "0:200000:65536";
/// Lists every visible process that still has the name that this project or libcontainer gives it before its program
/// or guest starts, and which of its files can be read. A process that has started meanwhile may be read.
const LOOK: &str = "unborn() { read -r now <$p/comm && [ \"$now\" = \"$name\" ]; }
    for p in /proc/[0-9]*; do
    read -r name <$p/comm || continue
    case $name in lighter-*|youki:*) ;; *) continue; esac
    echo there $name
    for file in environ maps; do cat $p/$file >/dev/null 2>&1 && unborn && echo reads $name $file; done
    ls $p/root/ >/dev/null 2>&1 && unborn && echo reads $name root
    done; true";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-birth-unseen", |daemon| unseen(daemon, Guest::Wasm)),
        Scenario::ours("native-birth-unseen", |daemon| unseen(daemon, Guest::Native)),
        Scenario::ours("wasm-exec-birth-unseen", |daemon| execs(daemon, Guest::Wasm)),
        Scenario::ours("native-exec-birth-unseen", |daemon| execs(daemon, Guest::Native)),
    ]
}

/// A hook holds the container's setup: while it is still the node's root, in its own user namespace, and when the
/// host is out of sight.
fn unseen(daemon: &Containerd, guest: Guest) -> Result<()> {
    let looks = daemon.run("looks").flag("--uidmap", MAP).flag("--gidmap", MAP);
    looks.flag("--cap-add", "CAP_SYS_PTRACE").args(Guest::Native.ready()).detach()?;
    let pod = daemon.task("looks")?.pid;
    for hook in ["createRuntime", "createContainer", "startContainer"] {
        held(daemon, guest, pod, hook).context(hook)?;
    }
    daemon.kill_and_delete("looks")
}

fn held(daemon: &Containerd, guest: Guest, pod: i32, hook: &str) -> Result<()> {
    let dir = shared_dir(daemon, &format!("held-{}-{hook}", guest.word()))?;
    let mut spec = joined(daemon, "held", guest.hello(), pod)?;
    let seen = if hook == "startContainer" { "/outbox".into() } else { dir.display().to_string() };
    let waits = format!("cd {seen} && echo yes >held && until [ -e go ]; do sleep 0.05; done");
    let env = ["PATH=/usr/bin:/bin"];
    spec["hooks"][hook] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", waits], "env": env }]);
    let outbox =
        json!({ "destination": "/outbox", "type": "bind", "source": dir, "options": ["rbind", "rw"] });
    let mounts = spec["mounts"].as_array_mut().context("the default spec has mounts")?;
    mounts.push(outbox);
    let mut running = run(daemon, "held", &spec)?.start()?;
    let waiting = || dir.join("held").exists();
    poll("the hook", LIMIT, || Ok((waiting() || running.ended()?).then_some(())))?;
    if !waiting() {
        bail!("it ended before: {:?}", running.finish(LIMIT)?);
    }
    let found = daemon.exec("looks", "look", &["/bin/sh", "-c", LOOK]).finish();
    fs::write(dir.join("go"), "")?;
    running.finish(LIMIT)?.ok()?.prints("hello")?;
    nothing_read(&found?.ok()?.stdout)
}

/// No hook can hold an exec's setup: many execs run while another process looks without a pause.
fn execs(daemon: &Containerd, guest: Guest) -> Result<()> {
    const EXECS: usize = 20;
    let looks = daemon.run("looks").flag("--uidmap", MAP).flag("--gidmap", MAP);
    looks.flag("--cap-add", "CAP_SYS_PTRACE").args(Guest::Native.ready()).detach()?;
    let spec = joined(daemon, "host", guest.ready(), daemon.task("looks")?.pid)?;
    run(daemon, "host", &spec)?.detach()?;
    let all = format!("until [ -e /tmp/enough ]; do {LOOK}; done");
    let looking = daemon.exec("looks", "look", &["/bin/sh", "-c", &all]).start()?;
    for number in 0..EXECS {
        daemon.exec("host", &format!("exec-{number}"), guest.hello()).finish()?.ok()?.prints("hello")?;
    }
    daemon.exec("looks", "enough", &["/bin/sh", "-c", ": >/tmp/enough"]).finish()?.ok()?;
    nothing_read(&looking.finish(LIMIT)?.ok()?.stdout)?;
    daemon.kill_and_delete("host")?;
    daemon.kill_and_delete("looks")
}

/// A spec that runs in the user and PID namespaces of the process `pod`.
fn joined(daemon: &Containerd, id: &str, args: &[&str], pod: i32) -> Result<Value> {
    let mut spec = daemon.default_spec(id, args)?;
    for kind in ["user", "pid"] {
        join(&mut spec, kind, pod)?;
    }
    Ok(spec)
}

fn run<'a>(daemon: &'a Containerd, id: &str, spec: &Value) -> Result<Run<'a>> {
    let mounts = spec["mounts"].as_array().context("the default spec has mounts")?;
    // The pod's root user does not own the root file system and cannot create mount points in it.
    for target in mounts.iter().filter_map(|mount| mount["destination"].as_str()) {
        fs::create_dir_all(daemon.rootfs().join(target.trim_start_matches('/')))?;
    }
    Ok(daemon.run_spec(id, &daemon.write_spec(id, spec)?))
}

/// Checks that a process was seen during its setup, and that none of its files could be read.
fn nothing_read(found: &str) -> Result<()> {
    ensure!(found.lines().any(|line| line.starts_with("there ")), "no process is being set up: {found}");
    let read: Vec<_> = found.lines().filter(|line| line.starts_with("reads ")).collect();
    ensure!(read.is_empty(), "a process was inspected while being set up: {read:?}");
    Ok(())
}

/// Makes the container join a namespace of the process `pod`.
fn join(spec: &mut Value, kind: &str, pod: i32) -> Result<()> {
    let listed = spec["linux"]["namespaces"].as_array_mut().context("the default spec has namespaces")?;
    listed.retain(|namespace| namespace["type"] != kind);
    listed.push(json!({ "type": kind, "path": format!("/proc/{pod}/ns/{kind}") }));
    Ok(())
}
