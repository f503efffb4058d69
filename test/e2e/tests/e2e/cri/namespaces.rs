//! Which namespaces a pod and its containers are in, and what is set in them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::cri::pod::Pod;
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::run;
use e2e::runner::Scenario;
use k8s_cri::v1::{self, NamespaceMode};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::both;

/// The first id of the machine that a pod's root is, and how many ids the pod has.
const FIRST: u32 = 200_000;
const COUNT: u32 = 65_536;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("own-namespaces", own));
    scenarios.extend(both("node-namespaces", node));
    scenarios.extend(both("shared-process-namespace", shared));
    scenarios.extend(both("target-process-namespace", target));
    scenarios.push(cri::any("cri-native-shared-memory", shared_memory));
    scenarios.extend(both("sysctls", sysctls));
    scenarios.extend(both("user-namespace", user));
    scenarios
}

/// Whether `pid` is in the same namespace of that kind as `other`.
fn same(pid: i32, other: i32, kind: &str) -> Result<bool> {
    let name = format!("ns/{kind}");
    Ok(kernel::link(pid, &name)? == kernel::link(other, &name)?)
}

/// Each kind in `kinds` must be shared by both, each other one must not.
fn share(pid: i32, other: i32, kinds: &[&str]) -> Result<()> {
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        let shared = same(pid, other, kind)?;
        ensure!(shared == kinds.contains(&kind), "one {kind} namespace: {shared}");
    }
    Ok(())
}

/// Containers of a pod share its memory under /dev/shm.
fn shared_memory(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("shm").run()?;
    pod.container("writes").script("echo shared >/dev/shm/word").finish()?.ok()?;
    pod.container("reads").args(&["/bin/cat", "/dev/shm/word"]).finish()?.ok()?.prints("shared").map(drop)
}

/// As pods are by default: a network, an IPC namespace and a name for the pod, processes apart.
fn own(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("own").run()?;
    let (one, two) = (pod.container("one").ready(guest)?, pod.container("two").ready(guest)?);
    let node = cri.daemon.pid()?;
    share(one.pid()?, two.pid()?, &["net", "ipc", "uts"]).context("two containers")?;
    share(one.pid()?, pod.pid()?, &["net", "ipc", "uts"]).context("a container and its pause")?;
    share(one.pid()?, node, &[]).context("a container and containerd")
}

/// hostNetwork, hostPID and hostIPC: the network is containerd's, and so are the others.
fn node(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let node = |options: &mut v1::NamespaceOption| {
        options.network = NamespaceMode::Node.into();
        options.pid = NamespaceMode::Node.into();
        options.ipc = NamespaceMode::Node.into();
    };
    let pod = cri.pod("node").namespaces(node).run()?;
    ensure!(pod.address().is_err(), "a pod on the node's network has an address of its own");
    let container = pod.container("one").ready(guest)?;
    // A pod on the node's network has the node's name.
    share(container.pid()?, cri.daemon.pid()?, &["net", "ipc", "pid", "uts"])?;
    container.stop(5)
}

/// shareProcessNamespace: the pause is process 1 of all, and they see each other.
fn shared(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("shared").namespaces(|options| options.pid = NamespaceMode::Pod.into()).run()?;
    let one = pod.container("one").ready(guest)?;
    let two = pod.container("two").ready(Guest::Native)?;
    share(one.pid()?, two.pid()?, &["net", "ipc", "uts", "pid"])?;
    ensure!(same(one.pid()?, pod.pid()?, "pid")?, "the pause has processes of its own");
    let first = pod.container("first").args(&["/bin/cat", "/proc/1/cmdline"]).finish()?.ok()?;
    ensure!(first.stdout.contains("trap exit TERM"), "process 1 is {:?}", first.stdout);
    // Its own end ends neither the other nor the pod.
    one.stop(5)?;
    ensure!(two.status()?.state() == v1::ContainerState::ContainerRunning, "{:?}", two.status()?);
    Ok(())
}

/// An ephemeral container for debugging, in the process namespace of the one it looks at.
fn target(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("target").run()?;
    let looked_at = pod.container("looked-at").ready(guest)?;
    let id = looked_at.id.clone();
    let plan = pod.container("looks").security(move |security| {
        let options = security.namespace_options.get_or_insert_default();
        options.pid = NamespaceMode::Target.into();
        options.target_id = id;
    });
    let looks = plan.ready(Guest::Native)?;
    share(looks.pid()?, looked_at.pid()?, &["net", "ipc", "uts", "pid"])?;
    looks.stop(5)?;
    ensure!(looked_at.status()?.state() == v1::ContainerState::ContainerRunning, "{:?}", looked_at.status()?);
    looked_at.stop(5)
}

/// What is set for the pod stands in its network and IPC namespaces, and not in the node's.
fn sysctls(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    const SET: [(&str, &str); 2] = [("net.core.somaxconn", "77"), ("kernel.shm_rmid_forced", "1")];
    let set = |linux: &mut v1::LinuxPodSandboxConfig| {
        linux.sysctls.extend(SET.map(|(name, value)| (name.into(), value.into())));
    };
    let pod = cri.pod("sysctls").linux(set).run()?;
    let container = pod.container("one").ready(guest)?;
    for (name, value) in SET {
        let file = format!("/proc/sys/{}", name.replace('.', "/"));
        let read = |pid: i32| {
            let pid = pid.to_string();
            run(Command::new("nsenter").args(["--target", &pid, "--net", "--ipc", "busybox", "cat", &file]))
        };
        read(container.pid()?)?.ok()?.prints(value).with_context(|| name.to_string())?;
        let node = read(cri.daemon.pid()?)?.ok()?;
        ensure!(node.stdout.trim() != value, "{name} is {value} on the node");
    }
    container.stop(5)
}

/// A pod whose root is nobody on the node. A containerd that does not ask what runtimes can do either makes one or knows
/// not even the question.
fn user(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let mapped = |options: &mut v1::NamespaceOption| {
        let ids = v1::IdMapping { host_id: FIRST, container_id: 0, length: COUNT };
        options.userns_options =
            Some(v1::UserNamespace { mode: NamespaceMode::Pod.into(), uids: vec![ids], gids: vec![ids] });
    };
    let features = cri.features()?;
    if let Some(features) = &features {
        ensure!(features.user_namespaces, "it says that there are none: {features:?}");
    }
    let snapshots = Shared::mount(cri.daemon.scope.dir.join(SNAPSHOTS))?;
    let pod = cri.pod("user").namespaces(mapped).run()?;
    if features.is_none() && same(pod.pid()?, cri.daemon.pid()?, "user")? {
        return Ok(());
    }
    mapped_as_told(&pod, guest, || {
        let mounts = cri.daemon.scope.mounts()?;
        let covered: Vec<_> = mounts.iter().filter(|point| point.starts_with(&snapshots.0)).collect();
        ensure!(covered == [&snapshots.0], "the node's snapshots lie below the container's: {covered:?}");
        Ok(())
    })
}

/// Where containerd keeps layers, as far as they are unpacked.
const SNAPSHOTS: &str = "root/io.containerd.snapshotter.v1.overlayfs/snapshots";

/// A directory that passes on what is mounted below it, as all do on a node with systemd. Until it is dropped.
struct Shared(PathBuf);

impl Shared {
    fn mount(dir: PathBuf) -> Result<Self> {
        const NONE: Option<&str> = None;
        mount(Some(&dir), &dir, NONE, MsFlags::MS_BIND, NONE)?;
        let shared = Self(dir);
        mount(NONE, &shared.0, NONE, MsFlags::MS_SHARED, NONE)?;
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // containerd may have a file of it open.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn mapped_as_told(pod: &Pod<'_>, guest: Guest, look: impl FnOnce() -> Result<()>) -> Result<()> {
    let container = pod.container("one").ready(guest)?;
    let pid = container.pid()?;
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let map: Vec<&str> = map.split_whitespace().collect();
    ensure!(map == ["0", &FIRST.to_string(), &COUNT.to_string()], "its map of users is {map:?}");
    let ids = FIRST.to_string();
    ensure!(kernel::status(pid, "Uid")?.split(' ').all(|id| id == ids), "{:?}", kernel::status(pid, "Uid"));
    look()?;
    if guest == Guest::Native {
        container.exec(&["/bin/busybox", "stat", "-c", "%u", "/secret"], 10)?.ok()?.prints("0")?;
    }
    container.stop(5)
}
