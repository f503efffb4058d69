//! Containers of one pod: one daemon, one network.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::process::run;
use e2e::runner::Scenario;

use crate::lifecycle::both;

/// How CRI tells a shim which pod a container is of, and what it is to it.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
const TYPE: &str = "io.kubernetes.cri.container-type";
/// How runc's shim lets any client group containers.
const GROUP: &str = "io.containerd.runc.v2.group";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("pod-one-daemon", |daemon, guest| one_daemon(daemon, guest, SANDBOX)));
    scenarios.extend(both("group-one-daemon", |daemon, guest| one_daemon(daemon, guest, GROUP)));
    scenarios.push(Scenario::any("native-pod-localhost", native_localhost));
    scenarios.push(Scenario::ours("wasm-pod-localhost", wasm_localhost));
    scenarios
}

/// Two containers, one daemon; the first one's end leaves the second alone.
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

/// A pause container with a network of its own; every other container joins it.
struct Pod<'a> {
    daemon: &'a Containerd,
    network: String,
}

impl<'a> Pod<'a> {
    fn start(daemon: &'a Containerd) -> Result<Self> {
        let script = ["/bin/sh", "-c", "echo ready; exec sleep 1000"];
        let pause =
            daemon.run("pause").annotation(SANDBOX, "pause").annotation(TYPE, "sandbox").args(&script);
        pause.detach()?;
        let pid = daemon.task("pause")?.pid;
        let network = format!("/proc/{pid}/ns/net");
        // What a CNI plug-in does first: without it 127.0.0.1 is unreachable.
        let enter = format!("--net={network}");
        run(Command::new("nsenter").arg(enter).args(["busybox", "ip", "link", "set", "lo", "up"]))?.ok()?;
        Ok(Self { daemon, network })
    }

    fn container(&self, id: &str) -> Run<'a> {
        let run = self.daemon.run(id).annotation(SANDBOX, "pause").annotation(TYPE, "container");
        run.flag("--with-ns", &format!("network:{}", self.network))
    }

    fn same_network(&self, id: &str) -> Result<()> {
        let named = |path: &str| fs::read_link(path).with_context(|| format!("{id}: {path}"));
        let pid = self.daemon.task(id)?.pid;
        let (theirs, ours) = (named(&format!("/proc/{pid}/ns/net"))?, named(&self.network)?);
        ensure!(theirs == ours, "{id} is in network {theirs:?}, its pod in {ours:?}");
        Ok(())
    }

    /// Once all is over: one daemon served them all, and the pause still runs.
    fn end(self) -> Result<()> {
        self.daemon.shim_of("pause")?;
        self.daemon.kill_and_delete("pause")
    }
}

fn native_localhost(daemon: &Containerd) -> Result<()> {
    let pod = Pod::start(daemon)?;
    let server = ["/bin/sh", "-c", "echo ready; echo pong | nc -l -p 8080"];
    pod.container("server").args(&server).detach()?;
    pod.same_network("server")?;
    client(&pod, "pong", "until nc 127.0.0.1 8080 </dev/null; do sleep 0.1; done")?;
    daemon.becomes("server", "STOPPED")?;
    daemon.delete_task("server", 0)?;
    daemon.delete_container("server")?;
    pod.end()
}

/// A Wasm server answers a native client, and a Wasm client, both over the pod's localhost.
fn wasm_localhost(daemon: &Containerd) -> Result<()> {
    let pod = Pod::start(daemon)?;
    pod.container("server").args(&["/guests/tcp-echo-p2.wasm", "8080"]).detach()?;
    pod.same_network("server")?;
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
