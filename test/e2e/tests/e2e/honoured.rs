//! What the spec says beside the process: hooks, limits, the termination log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::runner::Scenario;
use serde_json::{Value, json};

use crate::lifecycle::both;

const LIMIT: &str = "67108864";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::ours("wasm-termination-log", termination_log)];
    scenarios.extend(both("hooks", hooks));
    scenarios.extend(both("memory-limit", memory_limit));
    scenarios
}

/// Each hook runs once, with the container's state on its stdin.
fn hooks(daemon: &Containerd, guest: Guest) -> Result<()> {
    let states = |hook: &str| daemon.scope.dir.join("tmp").join(format!("{}-{hook}", guest.word()));
    let hook = |name: &str| {
        let script = format!("cat >>{0} && echo >>{0}", states(name).display());
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
    };
    let mut spec = daemon.default_spec("hooked", guest.hello())?;
    spec["hooks"] = json!({ "createRuntime": hook("createRuntime"), "poststop": hook("poststop") });
    let path = daemon.write_spec("hooked", &spec)?;
    daemon.run_spec("hooked", &path).finish()?.ok()?.prints("hello")?;
    for name in ["createRuntime", "poststop"] {
        let said = fs::read_to_string(states(name)).with_context(|| format!("{name} did not run"))?;
        let given: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
        ensure!(given.len() == 1, "{name} ran {} times", given.len());
        let state: Value = serde_json::from_str(given[0])?;
        ensure!(state["id"] == "hooked", "{name} was given the state {state}");
    }
    Ok(())
}

/// The limit stands in the cgroup of the container's process.
fn memory_limit(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("limited").flag("--memory-limit", LIMIT).args(guest.ready()).detach()?;
    let file = memory_file(daemon.task("limited")?.pid)?;
    let limit = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    ensure!(limit.trim() == LIMIT, "{} says {limit:?}", file.display());
    daemon.kill_and_delete("limited")
}

/// Where the kernel shows the memory limit of a process's cgroup, in either version of cgroups.
fn memory_file(pid: i32) -> Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let group = |controller: &str| {
        groups.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controller)?.strip_prefix(":/"))
    };
    let root = Path::new("/sys/fs/cgroup");
    match group("memory") {
        Some(path) => Ok(root.join("memory").join(path).join("memory.limit_in_bytes")),
        None => Ok(root.join(group("").context("the process is in no cgroup")?).join("memory.max")),
    }
}

/// The sentence about a trap stands where Kubernetes looks for it, as well as on stderr.
fn termination_log(daemon: &Containerd) -> Result<()> {
    let log = daemon.scope.dir.join("tmp/termination-log");
    fs::write(&log, "")?;
    let run = daemon.run("trapped").bind(&log, "/dev/termination-log", true);
    run.args(&["/guests/trap.wasm"]).finish()?.exits(134)?.complains("unreachable")?;
    let logged = fs::read_to_string(&log)?;
    ensure!(logged.contains("unreachable"), "the termination log says {logged:?}");
    Ok(())
}
