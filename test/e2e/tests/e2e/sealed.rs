//! A container that sees the daemon's program through `/proc/PID/exe` cannot write to it, not even when no process
//! runs it any more. The inspected pod runs a copy, so that nothing else is at risk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use crate::data::shared_dir;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::ours("sealed-program", sealed)]
}

/// Finds the copy's process, keeps its program open and tries to open it for writing: at once, and after the process
/// has ended. If that succeeds, it stays open for writing.
const LOOKS: &str = "echo ready
    wait_for() { until [ -s /outbox/$1 ]; do sleep 0.05; done; }
    try() { ( ( : >>$1 ); echo $? >/outbox/at-$2; exec sleep 1000 >>$1 ) & }
    wait_for pid
    exec 3</proc/$(cat /outbox/pid)/exe
    try /proc/$(cat /outbox/pid)/exe once
    wait_for gone
    try /proc/self/fd/3 last
    exec sleep 1000";

/// A container with CAP_SYS_PTRACE sees a pod that runs a copy of the shim and the daemon.
fn sealed(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "sealed")?;
    let (shim, program) = copies(daemon)?;
    let looks = daemon.run("looks").flag("--cap-add", "CAP_SYS_PTRACE").bind(&dir, "/outbox", true);
    looks.args(&["/bin/sh", "-c", LOOKS]).detach()?;
    let copied = |id: &str| daemon.run(id).flag("--runtime", &shim);
    let space = format!("pid:/proc/{}/ns/pid", daemon.task("looks")?.pid);
    copied("seen").flag("--with-ns", &space).args(Guest::Wasm.ready()).detach()?;
    let pid = daemon.task("seen")?.pid;
    ensure!(
        fs::metadata(format!("/proc/{pid}/exe"))?.ino() == fs::metadata(&program)?.ino(),
        "not the copy's"
    );
    let ids = kernel::status(pid, "NSpid")?;
    fs::write(dir.join("pid"), ids.rsplit(' ').next().context("no id in the namespace")?)?;
    refused(&dir, "once")?;
    daemon.kill_and_delete("seen")?;
    poll("the daemon of the copy to end", LIMIT, || {
        Ok(fs::File::options().append(true).open(&program).ok())
    })?;
    fs::write(dir.join("gone"), "yes")?;
    refused(&dir, "last")?;
    // The program is still open there; a writer would make execve fail with ETXTBSY.
    copied("next").args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    daemon.kill_and_delete("looks")
}

/// Checks that the container's attempt to write failed.
fn refused(dir: &Path, when: &str) -> Result<()> {
    let file = dir.join(format!("at-{when}"));
    let status = poll("an attempt to write", LIMIT, || {
        Ok(fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')))
    })?;
    ensure!(status.trim() != "0", "a container opened the daemon's program for writing");
    Ok(())
}

/// Copies the shim and its daemon; returns the shim's path for `ctr`, and the daemon's.
fn copies(daemon: &Containerd) -> Result<(String, std::path::PathBuf)> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let dir = daemon.scope.dir.join("tmp/copies");
    fs::create_dir(&dir)?;
    let shim = dir.join(daemon.shim.program());
    fs::copy(binary, &shim)?;
    let own = daemon.shim.engine();
    let names = [format!("lighter-daemon-{own}"), "lighter-daemon".into()];
    let beside = names.iter().map(|name| binary.with_file_name(name)).find(|path| path.exists());
    let beside = beside.context("no daemon lies beside the shim")?;
    let program = dir.join(beside.file_name().unwrap_or_default());
    fs::copy(&beside, &program)?;
    Ok((shim.display().to_string(), program))
}
