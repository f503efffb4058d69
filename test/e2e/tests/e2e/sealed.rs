//! The daemon's program behind `/proc/PID/exe` of what a container can see: nobody writes to it, also when
//! nobody runs it any more. The pod that is looked into runs a copy, so that nothing else is ever at risk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use crate::data::shared_folder;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::ours("sealed-program", sealed)]
}

/// Finds the copy's process, keeps the program open and tries to write to it: at once, and when it has ended.
/// Where that succeeds it stays open for writing.
const LOOKS: &str = "echo ready
    wait_for() { until [ -s /outbox/$1 ]; do sleep 0.05; done; }
    try() { ( ( : >>$1 ); echo $? >/outbox/at-$2; exec sleep 1000 >>$1 ) & }
    wait_for pid
    exec 3</proc/$(cat /outbox/pid)/exe
    try /proc/$(cat /outbox/pid)/exe once
    wait_for gone
    try /proc/self/fd/3 last
    exec sleep 1000";

/// A pod that runs a copy of the shim and of the daemon is seen by a privileged neighbour.
fn sealed(daemon: &Containerd) -> Result<()> {
    let folder = shared_folder(daemon, "sealed")?;
    let (shim, program) = copies(daemon)?;
    let looks = daemon.run("looks").flag("--cap-add", "CAP_SYS_PTRACE").bind(&folder, "/outbox", true);
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
    fs::write(folder.join("pid"), ids.rsplit(' ').next().context("no id in the namespace")?)?;
    said(&folder, "once")?;
    daemon.kill_and_delete("seen")?;
    poll("the daemon of the copy to end", LIMIT, || {
        Ok(fs::File::options().append(true).open(&program).ok())
    })?;
    fs::write(folder.join("gone"), "yes")?;
    said(&folder, "last")?;
    // The program is still open there; whoever could write to it would keep the kernel from executing it.
    copied("next").args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello")?;
    daemon.kill_and_delete("looks")
}

/// That the neighbour's attempt failed.
fn said(folder: &Path, when: &str) -> Result<()> {
    let file = folder.join(format!("at-{when}"));
    let status = poll("an attempt to write", LIMIT, || {
        Ok(fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')))
    })?;
    ensure!(status.trim() != "0", "a container opened the daemon's program for writing");
    Ok(())
}

/// The shim's path as `ctr` takes it, and the daemon's program beside it.
fn copies(daemon: &Containerd) -> Result<(String, std::path::PathBuf)> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let folder = daemon.scope.dir.join("tmp/copies");
    fs::create_dir(&folder)?;
    let shim = folder.join(daemon.shim.program());
    fs::copy(binary, &shim)?;
    let own = daemon.shim.engine();
    let names = [format!("lighter-daemon-{own}"), "lighter-daemon".into()];
    let beside = names.iter().map(|name| binary.with_file_name(name)).find(|path| path.exists());
    let beside = beside.context("no daemon lies beside the shim")?;
    let program = folder.join(beside.file_name().unwrap_or_default());
    fs::copy(&beside, &program)?;
    Ok((shim.display().to_string(), program))
}
