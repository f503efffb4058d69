//! The namespaces of a pod and its containers, and sysctls.

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

/// The id on the node of the pod's root, and how many ids the pod has.
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

/// Whether `pid` and `other` share their namespace of that kind.
fn same(pid: i32, other: i32, kind: &str) -> Result<bool> {
    let name = format!("ns/{kind}");
    Ok(kernel::link(pid, &name)? == kernel::link(other, &name)?)
}

/// Both must share exactly the kinds in `kinds`.
fn share(pid: i32, other: i32, kinds: &[&str]) -> Result<()> {
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        let shared = same(pid, other, kind)?;
        ensure!(shared == kinds.contains(&kind), "the {kind} namespace is shared: {shared}");
    }
    Ok(())
}

/// Containers of a pod share its /dev/shm.
fn shared_memory(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("shm").run()?;
    pod.container("writes").script("echo shared >/dev/shm/word").finish()?.ok()?;
    pod.container("reads").args(&["/bin/cat", "/dev/shm/word"]).finish()?.ok()?.prints("shared").map(drop)
}

/// By default the containers of a pod share network, IPC and UTS namespaces, but not PID namespaces.
fn own(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("own").run()?;
    let (one, two) = (pod.container("one").ready(guest)?, pod.container("two").ready(guest)?);
    let node = cri.daemon.pid()?;
    share(one.pid()?, two.pid()?, &["net", "ipc", "uts"]).context("two containers")?;
    share(one.pid()?, pod.pid()?, &["net", "ipc", "uts"]).context("a container and its pause")?;
    share(one.pid()?, node, &[]).context("a container and containerd")
}

/// hostNetwork, hostPID and hostIPC: all these namespaces are containerd's.
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

/// shareProcessNamespace: the pause is process 1, and the containers see each other's processes.
fn shared(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("shared").namespaces(|options| options.pid = NamespaceMode::Pod.into()).run()?;
    let one = pod.container("one").ready(guest)?;
    let two = pod.container("two").ready(Guest::Native)?;
    share(one.pid()?, two.pid()?, &["net", "ipc", "uts", "pid"])?;
    ensure!(same(one.pid()?, pod.pid()?, "pid")?, "the pause has a PID namespace of its own");
    let first = pod.container("first").args(&["/bin/cat", "/proc/1/cmdline"]).finish()?.ok()?;
    ensure!(first.stdout.contains("trap exit TERM"), "process 1 is {:?}", first.stdout);
    // One container's end affects neither the other nor the pod.
    one.stop(5)?;
    ensure!(two.status()?.state() == v1::ContainerState::ContainerRunning, "{:?}", two.status()?);
    Ok(())
}

/// An ephemeral container for debugging, in the PID namespace of its target.
fn target(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("target").run()?;
    let target = pod.container("looked-at").ready(guest)?;
    let id = target.id.clone();
    let plan = pod.container("looks").security(move |security| {
        let options = security.namespace_options.get_or_insert_default();
        options.pid = NamespaceMode::Target.into();
        options.target_id = id;
    });
    let looks = plan.ready(Guest::Native)?;
    share(looks.pid()?, target.pid()?, &["net", "ipc", "uts", "pid"])?;
    looks.stop(5)?;
    ensure!(target.status()?.state() == v1::ContainerState::ContainerRunning, "{:?}", target.status()?);
    target.stop(5)
}

/// The pod's sysctls are set in its network and IPC namespaces, and not in the node's.
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

/// A pod with a user namespace. A containerd that does not query the features of runtimes either creates one or ignores
/// the request.
fn user(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let mapped = |options: &mut v1::NamespaceOption| {
        let ids = v1::IdMapping { host_id: FIRST, container_id: 0, length: COUNT };
        options.userns_options =
            Some(v1::UserNamespace { mode: NamespaceMode::Pod.into(), uids: vec![ids], gids: vec![ids] });
    };
    let features = cri.features()?;
    if let Some(features) = &features {
        ensure!(features.user_namespaces, "user namespaces are not reported: {features:?}");
    }
    let snapshots = SharedMount::mount(cri.daemon.scope.dir.join(SNAPSHOTS))?;
    let pod = cri.pod("user").namespaces(mapped).run()?;
    if features.is_none() && same(pod.pid()?, cri.daemon.pid()?, "user")? {
        return Ok(());
    }
    check_mapped(&pod, guest, || {
        let mounts = cri.daemon.scope.mounts()?;
        let covered: Vec<_> = mounts.iter().filter(|point| point.starts_with(&snapshots.0)).collect();
        ensure!(covered == [&snapshots.0], "a snapshot's mount propagated to the node: {covered:?}");
        Ok(())
    })
}

/// Where containerd keeps unpacked layers.
const SNAPSHOTS: &str = "root/io.containerd.snapshotter.v1.overlayfs/snapshots";

/// A shared mount, as all are on a node with systemd; unmounted on drop.
struct SharedMount(PathBuf);

impl SharedMount {
    fn mount(dir: PathBuf) -> Result<Self> {
        const NONE: Option<&str> = None;
        mount(Some(&dir), &dir, NONE, MsFlags::MS_BIND, NONE)?;
        let shared = Self(dir);
        mount(NONE, &shared.0, NONE, MsFlags::MS_SHARED, NONE)?;
        Ok(shared)
    }
}

impl Drop for SharedMount {
    fn drop(&mut self) {
        // Detached, since containerd may have a file of it open.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn check_mapped(pod: &Pod<'_>, guest: Guest, look: impl FnOnce() -> Result<()>) -> Result<()> {
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
