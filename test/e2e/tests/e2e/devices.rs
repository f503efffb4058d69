//! Device nodes that an image contains or a container creates: only those that the spec allows can be opened. And
//! the cgroup mount of a container, through which it cannot change its limits.

use anyhow::{Context as _, Result, ensure};
use conformance::User;
use containerd_shim_protos::api::UpdateTaskRequest;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::runner::Scenario;
use e2e::shim::Shim;
use serde_json::{Value, json};

use crate::jail::USER;

/// WASI's error numbers: EACCES, from a nodev mount, and EPERM, from the device cgroup.
const DENIED: i32 = 2;
const NOT_PERMITTED: i32 = 63;
/// The spec's mount as containerd's CRI and Docker write it.
const CGROUPS: [&str; 5] = ["nosuid", "noexec", "nodev", "relatime", "ro"];

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, user) in [("root", None), ("1234", Some(USER))] {
        scenarios
            .push(Scenario::ours(format!("wasm-device-nodes-{name}"), move |daemon| guest(daemon, user)));
        scenarios
            .push(Scenario::any(format!("native-device-nodes-{name}"), move |daemon| program(daemon, user)));
    }
    scenarios.push(Scenario::any("native-device-made", made));
    scenarios.push(Scenario::any("native-device-allowed", |daemon| {
        let shell = ["/bin/sh", "-c", "head -c 0 /dev/kmsg && ! head -c 0 /nodes/absent"];
        let run = daemon.run("given").flag("--device", "/dev/kmsg").flag("--cap-add", "CAP_SYSLOG");
        run.args(&shell).finish()?.ok()?.complains("Operation not permitted").map(drop)
    }));
    scenarios.push(Scenario::ours("wasm-device-bound", bound));
    scenarios.push(Scenario::ours("native-device-update", update));
    scenarios.push(Scenario::ours("native-root-nodev", root_without_devices));
    for (name, own) in [("host", false), ("own", true)] {
        let check = move |daemon: &Containerd| cgroups(daemon, own);
        // runc leaves the directory above the hierarchies writable.
        scenarios.push(Scenario::ours(format!("native-cgroups-read-only-{name}"), check));
    }
    scenarios
}

/// A guest can open no node of an image's layer, not even one of a device that its own /dev has.
fn guest(daemon: &Containerd, user: Option<User>) -> Result<()> {
    for node in ["nodes/absent", "nodes/loop", "nodes/null"] {
        let output = daemon.run("opener").user(user).args(&["/guests/opens.wasm", node]).finish()?;
        output.exits(DENIED).with_context(|| node)?;
    }
    daemon.run("opener").user(user).args(&["/guests/opens.wasm", "dev/null"]).finish()?.ok().map(drop)
}

/// A program can open the default devices, through any node, and nothing else.
fn program(daemon: &Containerd, user: Option<User>) -> Result<()> {
    for node in ["/nodes/absent", "/nodes/loop"] {
        let output = daemon.run("opener").user(user).args(&["/bin/cat", node]).finish()?;
        output.exits(1)?.complains("Operation not permitted").with_context(|| node)?;
    }
    daemon.run("opener").user(user).args(&["/bin/cat", "/nodes/null"]).finish()?.ok().map(drop)
}

/// With CAP_MKNOD any node can be created, whether its device may be opened or not.
fn made(daemon: &Containerd) -> Result<()> {
    let script =
        "set -e; cd /tmp; for n in 'null c 1 3' 'absent c 1 12' 'loop b 7 0'; do busybox mknod $n; done
        cat null; ! cat absent; ! cat loop";
    let output = daemon.run("maker").args(&["/bin/sh", "-c", script]).finish()?.ok()?;
    ensure!(output.stderr.matches("Operation not permitted").count() == 2, "{output:?}");
    Ok(())
}

/// A bind-mounted device is subject to the cgroup alone: refused, unless a rule of the spec allows it.
fn bound(daemon: &Containerd) -> Result<()> {
    let opens = |rules: Value, code: i32| -> Result<()> {
        let mut spec = daemon.default_spec("shown", &["/guests/opens.wasm", "full"])?;
        spec["linux"]["resources"]["devices"] = rules;
        let full =
            json!({ "destination": "/full", "type": "bind", "source": "/dev/full", "options": ["bind"] });
        spec["mounts"].as_array_mut().context("no mounts")?.push(full);
        let path = daemon.write_spec("shown", &spec)?;
        daemon.run_spec("shown", &path).finish()?.exits(code).map(drop)
    };
    opens(json!([]), NOT_PERMITTED)?;
    opens(json!([{ "allow": true, "type": "c", "major": 1, "minor": 7, "access": "r" }]), 0)
}

/// An update with devices replaces the rules; one without leaves them.
fn update(daemon: &Containerd) -> Result<()> {
    daemon.run("changed").args(Guest::Native.ready()).detach()?;
    let Shim { tasks } = daemon.connect("changed")?;
    let update = |resources: Value| -> Result<()> {
        let any = Any { value: resources.to_string().into_bytes(), ..Any::default() };
        let resources = MessageField::some(any);
        let request = UpdateTaskRequest { id: "changed".into(), resources, ..UpdateTaskRequest::default() };
        let in_time = ttrpc::context::with_timeout(10_000_000_000);
        tasks.update(in_time, &request).map(drop).context("update")
    };
    let opens = |allowed: bool| -> Result<()> {
        let output = daemon.exec("changed", "look", &["/bin/cat", "/nodes/absent"]).finish()?;
        let words = if allowed { "No such device or address" } else { "Operation not permitted" };
        output.complains(words)?;
        daemon.exec("changed", "look", &["/bin/cat", "/nodes/null"]).finish()?.ok().map(drop)
    };
    let nothing = json!({ "allow": false, "access": "rwm" });
    opens(false)?;
    update(
        json!({ "devices": [nothing, { "allow": true, "type": "c", "major": 1, "minor": 12, "access": "r" }] }),
    )?;
    opens(true)?;
    update(json!({ "pids": { "limit": 77 } }))?;
    opens(true)?;
    update(json!({ "devices": [nothing] }))?;
    opens(false)?;
    daemon.kill_and_delete("changed")
}

/// Without capabilities the root is mounted nodev, and the container's own /dev works.
fn root_without_devices(daemon: &Containerd) -> Result<()> {
    let mut spec = daemon.default_spec("bare", &["/bin/sh", "-c", "echo x >/dev/null && cat /nodes/null"])?;
    let sets = spec["process"]["capabilities"].as_object_mut().context("no capabilities")?;
    sets.values_mut().for_each(|set| *set = json!([]));
    let path = daemon.write_spec("bare", &spec)?;
    daemon.run_spec("bare", &path).finish()?.exits(1)?.complains("Permission denied").map(drop)
}

/// A container's root user can change no limit and create no cgroup, in any hierarchy, whether it shares the host's
/// cgroup namespace or not; on v1 it sees only its own cgroup. (On v2 a container in the host's namespace sees all.)
fn cgroups(daemon: &Containerd, own: bool) -> Result<()> {
    let mut spec = daemon.default_spec("counted", Guest::Native.ready())?;
    let mount = json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": CGROUPS
    });
    spec["mounts"].as_array_mut().context("no mounts")?.push(mount);
    let listed = spec["linux"]["namespaces"].as_array_mut().context("no namespaces")?;
    listed.retain(|namespace| namespace["type"] != "cgroup");
    if own {
        listed.push(json!({ "type": "cgroup" }));
    }
    let path = daemon.write_spec("counted", &spec)?;
    daemon.run_spec("counted", &path).detach()?;
    let pid = daemon.task("counted")?.pid;
    let script = "set -f; cd /sys/fs/cgroup; busybox grep ' /sys/fs/cgroup' /proc/self/mountinfo |
        while read -r a b c d point rest; do
          busybox mkdir $point/made 2>/dev/null && echo made $point
          for f in memory.limit_in_bytes memory.max pids.max cpu.max cgroup.procs tasks; do
            [ -e $point/$f ] && (echo 1 >$point/$f) 2>/dev/null && echo wrote $point/$f
          done
        done; [ -e cgroup.procs ] || busybox find . -mindepth 2 -type d; true";
    let output = daemon.exec("counted", "try", &["/bin/sh", "-c", script]).finish()?.ok()?;
    ensure!(output.stdout.trim().is_empty(), "it changed or saw: {}", output.stdout);
    let points: Vec<_> = kernel::mounts(pid)?.into_iter().map(|mount| mount.point).collect();
    let points = points.iter().filter(|point| point.starts_with("/sys/fs/cgroup"));
    for point in points {
        let options = kernel::mount_options(pid, point)?;
        for option in ["ro", "nosuid", "noexec", "nodev"] {
            ensure!(options.iter().any(|it| it == option), "{} is mounted {options:?}", point.display());
        }
    }
    daemon.kill_and_delete("counted")
}
