//! Containers of one pod: one daemon, one network, other namespaces as the spec says.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{LIMIT, poll, run};
use e2e::runner::Scenario;
use e2e::scope::Process;
use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use crate::cache::text;
use crate::data::shared_dir;
use crate::lifecycle::both;

/// CRI's annotations for the pod of a container, and for its role in the pod.
pub const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
const TYPE: &str = "io.kubernetes.cri.container-type";
/// The annotation by which any client can group containers, as in runc's shim.
const GROUP: &str = "io.containerd.runc.v2.group";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("pod-one-daemon", |daemon, guest| one_daemon(daemon, guest, SANDBOX)));
    scenarios.extend(both("group-one-daemon", |daemon, guest| one_daemon(daemon, guest, GROUP)));
    scenarios.push(Scenario::ours("pod-threads", threads));
    scenarios.push(Scenario::ours("pod-mounts", few_mounts));
    scenarios.push(Scenario::ours("pod-slow-files", slow_files));
    scenarios.extend(both("pod-namespaces", |daemon, guest| joined(daemon, guest, &["ipc", "uts"])));
    scenarios.extend(both("pod-pid-namespace", |daemon, guest| joined(daemon, guest, &["pid"])));
    scenarios.push(Scenario::any("native-pod-localhost", native_localhost));
    scenarios.push(Scenario::ours("wasm-pod-localhost", wasm_localhost));
    scenarios
}

/// Two containers, one daemon; the second survives the first.
fn one_daemon(daemon: &Containerd, guest: Guest, key: &str) -> Result<()> {
    daemon.run("one").annotation(key, "one").args(guest.ready()).detach()?;
    let shim = daemon.shim_of("one")?;
    daemon.run("two").annotation(key, "one").args(guest.ready()).detach()?;
    let other = daemon.shim_of("two");
    ensure!(other.is_err(), "the second container has a daemon of its own: {other:?}");
    daemon.kill_and_delete("one")?;
    ensure!(daemon.task("two")?.status == "RUNNING", "the second container ended with the first");
    ensure!(daemon.shim_of("one")? == shim, "the daemon changed");
    daemon.kill_and_delete("two")
}

/// However many containers a pod has, its daemon has at most two threads, the nursery one, and each
/// Wasm guest one.
fn threads(daemon: &Containerd) -> Result<()> {
    for (id, guest) in [("one", Guest::Wasm), ("two", Guest::Wasm), ("three", Guest::Native)] {
        daemon.run(id).annotation(SANDBOX, "one").args(guest.ready()).detach()?;
    }
    few_threads(daemon, &["one", "two"])?;
    daemon.kill_and_delete("two")?;
    let four = daemon.run("four").annotation(SANDBOX, "one").args(Guest::Wasm.hello());
    four.finish()?.ok()?.prints("hello")?;
    few_threads(daemon, &["one"])?;
    daemon.kill_and_delete("three")?;
    daemon.kill_and_delete("one")
}

/// However many mounts the node has, the nursery's mount namespace has four, and all nurseries share it.
fn few_mounts(daemon: &Containerd) -> Result<()> {
    daemon.run("one").args(Guest::Wasm.ready()).detach()?;
    let shim = daemon.shim_of("one")?;
    let own = nursery(daemon, &shim)?;
    let namespaces = fs::metadata(format!("/proc/{own}/ns/mnt"))?.dev();
    let mounts = kernel::mounts(own)?;
    let mut seen: Vec<_> = mounts.iter().map(|mount| mount.point.as_path()).collect();
    seen.sort();
    let sockets = Path::new("/run/containerd/s");
    ensure!(
        seen == [Path::new("/"), Path::new("/dev"), Path::new("/proc"), sockets],
        "the nursery sees {seen:?}"
    );
    // The namespace is created once and pinned for later pods.
    let kept = || fs::metadata("/run/lighter/bare").is_ok_and(|kept| kept.dev() == namespaces);
    poll("the namespace to be pinned", LIMIT, || Ok(kept().then_some(())))?;
    daemon.run("two").args(Guest::Wasm.ready()).detach()?;
    let other = nursery(daemon, &daemon.shim_of("two")?)?;
    ensure!(kernel::link(other, "ns/mnt")? == kernel::link(own, "ns/mnt")?, "the nurseries do not share one");
    daemon.kill_and_delete("one")?;
    daemon.kill_and_delete("two")
}

fn few_threads(daemon: &Containerd, wasm: &[&str]) -> Result<()> {
    let shim = daemon.shim_of("one")?;
    // For some milliseconds of a Create there may be a third.
    poll("the daemon to have two threads", LIMIT, || Ok((kernel::threads(shim.pid)? <= 2).then_some(())))?;
    let count = kernel::threads(nursery(daemon, &shim)?)?;
    ensure!(count == 1, "the nursery has {count} threads");
    for id in wasm {
        let count = kernel::threads(daemon.task(id)?.pid)?;
        ensure!(count == 1, "the Wasm guest {id} has {count} threads");
    }
    Ok(())
}

/// The child of the daemon that runs the same program and is no task.
pub fn nursery(daemon: &Containerd, shim: &Process) -> Result<i32> {
    let tasks: Vec<i32> = daemon.tasks()?.iter().map(|task| task.pid).collect();
    let mut children = daemon.scope.processes()?;
    children.retain(|process| process.parent == shim.pid && !tasks.contains(&process.pid));
    let program = kernel::link(shim.pid, "exe")?;
    children.retain(|process| kernel::link(process.pid, "exe").is_ok_and(|link| link == program));
    match children.as_slice() {
        [one] => Ok(one.pid),
        other => bail!("{} nurseries: {other:?}", other.len()),
    }
}

/// A container with slow files, as over a network, does not block the rest of its pod: here opening its entrypoint
/// blocks until the fanotify listener is closed.
fn slow_files(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "slow-files")?;
    let module = dir.join("module.wat");
    fs::write(&module, text("run"))?;
    daemon.run("there").annotation(SANDBOX, "there").args(Guest::Wasm.ready()).detach()?;
    let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_NONBLOCK | InitFlags::FAN_CLOEXEC;
    let gate = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC)?;
    gate.mark(MarkFlags::FAN_MARK_ADD, MaskFlags::FAN_OPEN_PERM, None, Some(&module))?;
    let run = daemon.run("slow").annotation(SANDBOX, "there").bind(&dir, "/own", false);
    let running = run.args(&["/own/module.wat"]).start()?;
    poll("the entrypoint to be opened", LIMIT, || match gate.read_events() {
        Err(Errno::EAGAIN) => Ok(None),
        asked => Ok(Some(asked?)),
    })?;
    ensure!(daemon.task("there")?.status == "RUNNING", "the daemon does not answer");
    daemon.kill_and_delete("there")?;
    // Closing the listener allows every pending open.
    drop(gate);
    running.finish(LIMIT)?.ok()?.prints("run").map(drop)
}

/// A container that joins the pause's network and its namespaces `kinds` shares these and no others.
fn joined(daemon: &Containerd, guest: Guest, kinds: &[&str]) -> Result<()> {
    let pod = Pod::start(daemon)?;
    let mut run = pod.container("joined");
    for kind in kinds {
        run = run.flag("--with-ns", &format!("{kind}:/proc/{}/ns/{kind}", pod.pause));
    }
    run.args(guest.ready()).detach()?;
    for kind in ["net", "ipc", "mnt", "pid", "uts"] {
        pod.shares("joined", kind, kind == "net" || kinds.contains(&kind))?;
    }
    daemon.kill_and_delete("joined")?;
    pod.end()
}

/// A pause container with a network of its own; every other container joins it.
struct Pod<'a> {
    daemon: &'a Containerd,
    /// The pause's pid.
    pause: i32,
}

impl<'a> Pod<'a> {
    fn start(daemon: &'a Containerd) -> Result<Self> {
        let script = ["/bin/sh", "-c", "echo ready; exec sleep 1000"];
        let pause =
            daemon.run("pause").annotation(SANDBOX, "pause").annotation(TYPE, "sandbox").args(&script);
        pause.detach()?;
        let pod = Self { daemon, pause: daemon.task("pause")?.pid };
        // As a CNI plug-in does: without it 127.0.0.1 is unreachable.
        let enter = format!("--net={}", pod.network());
        run(Command::new("nsenter").arg(enter).args(["busybox", "ip", "link", "set", "lo", "up"]))?.ok()?;
        Ok(pod)
    }

    fn container(&self, id: &str) -> Run<'a> {
        let run = self.daemon.run(id).annotation(SANDBOX, "pause").annotation(TYPE, "container");
        run.flag("--with-ns", &format!("network:{}", self.network()))
    }

    fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.pause)
    }

    /// Checks whether `id` shares the pause's namespace of that kind, as `expected`.
    fn shares(&self, id: &str, kind: &str, expected: bool) -> Result<()> {
        let link = format!("ns/{kind}");
        let theirs = kernel::link(self.daemon.task(id)?.pid, &link)?;
        let ours = kernel::link(self.pause, &link)?;
        ensure!((theirs == ours) == expected, "{id} is in {theirs:?}, its pause in {ours:?}");
        Ok(())
    }

    /// Ends the pod: its one daemon and the pause still run.
    fn end(self) -> Result<()> {
        self.daemon.shim_of("pause")?;
        self.daemon.kill_and_delete("pause")
    }
}

fn native_localhost(daemon: &Containerd) -> Result<()> {
    let pod = Pod::start(daemon)?;
    let server = ["/bin/sh", "-c", "echo ready; echo pong | nc -l -p 8080"];
    pod.container("server").args(&server).detach()?;
    pod.shares("server", "net", true)?;
    client(&pod, "pong", "until nc 127.0.0.1 8080 </dev/null; do sleep 0.1; done")?;
    daemon.becomes("server", "STOPPED")?;
    daemon.delete_task("server", 0)?;
    daemon.delete_container("server")?;
    pod.end()
}

/// A Wasm server answers a native and a Wasm client over the pod's localhost.
fn wasm_localhost(daemon: &Containerd) -> Result<()> {
    let pod = Pod::start(daemon)?;
    pod.container("server").args(&["/guests/tcp-echo-p2.wasm", "8080"]).detach()?;
    pod.shares("server", "net", true)?;
    client(&pod, "ping", "echo ping | nc 127.0.0.1 8080")?;
    let asks = pod.container("asks").args(&["/guests/tcp-client-p2.wasm", "8080", "from", "wasm"]);
    asks.finish()?.ok()?.prints("answer: from wasm")?;
    let quits = pod.container("quits").args(&["/bin/sh", "-c", "echo quit | nc 127.0.0.1 8080"]);
    quits.finish()?.ok()?;
    daemon.becomes("server", "STOPPED")?;
    daemon.delete_task("server", 7)?;
    daemon.delete_container("server")?;
    pod.end()
}

fn client(pod: &Pod<'_>, answer: &str, script: &str) -> Result<()> {
    pod.container("client").args(&["/bin/sh", "-c", script]).finish()?.ok()?.prints(answer)?;
    Ok(())
}
