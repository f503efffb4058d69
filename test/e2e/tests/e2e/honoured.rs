//! Other parts of the spec that are honoured: hooks, limits, ids, names, the termination log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::{self, run};
use e2e::runner::Scenario;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::{Value, json};

use crate::data::shared_dir;
use crate::jail::USER;
use crate::lifecycle::both;

const LIMIT: &str = "67108864";
/// How long a Create may take when its hook times out after a second.
const LATE: Duration = Duration::from_secs(20);
/// WASI's numbers for "input/output error", "not permitted", "read-only file system" and "not
/// capable". Wasmtime maps the kernel's EROFS, which it has no case for, to the first.
const READ_ONLY: [i32; 4] = [29, 63, 69, 76];

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::ours("wasm-termination-log", termination_log)];
    scenarios.extend(both("hooks", hooks));
    scenarios.extend(both("hook-fails", |daemon, guest| hook_fails(daemon, guest, "exit 7", None)));
    scenarios.extend(both("hook-late", |daemon, guest| hook_fails(daemon, guest, "exec sleep 60", Some(1))));
    scenarios.extend(both("memory-limit", memory_limit));
    scenarios.extend(both("rlimits", rlimits));
    scenarios.push(Scenario::ours("wasm-stack-limit", stack));
    scenarios.extend(both("cpuset", cpuset));
    scenarios.extend(both("user-namespace", user_namespace));
    scenarios.extend(both("umask-and-groups", umask_and_groups));
    scenarios.extend(both("hostname", hostname));
    scenarios.extend(both("propagation", propagation));
    for (name, writable) in [("rw", true), ("ro", false)] {
        let check = move |daemon: &Containerd| file_mount(daemon, writable);
        scenarios.push(Scenario::ours(format!("wasm-file-mount-{name}"), check));
    }
    scenarios.push(Scenario::ours("wasm-mount-kinds", mount_kinds));
    scenarios.push(Scenario::ours("wasm-read-only-devices", |daemon| {
        daemon.run("thrower").read_only().args(&["/guests/null.wasm"]).finish()?.ok().map(drop)
    }));
    scenarios.push(Scenario::ours("wasm-volume-at-dev-shm", |daemon| {
        let dir = shared_dir(daemon, "dev-shm")?;
        fs::write(dir.join("note"), "")?;
        let run = daemon.run("volume").bind(&dir, "/dev/shm", false);
        let mut lists = run.args(&["/cases/hello-p1.wasm", "0", "/dev/shm"]).start()?;
        lists.says("file: note", process::LIMIT)?;
        lists.finish(process::LIMIT)?.ok().map(drop)
    }));
    scenarios
}

/// The six kinds of hooks, in the order of the OCI's lifecycle.
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Each kind of hook runs once, in order, with the container's state on its stdin; `startContainer` inside
/// the container, the others in the runtime's namespaces.
fn hooks(daemon: &Containerd, guest: Guest) -> Result<()> {
    let dir = shared_dir(daemon, &format!("hooks-{}", guest.word()))?;
    let mut spec = daemon.default_spec("hooked", guest.hello())?;
    for name in HOOKS {
        let seen = if name == "startContainer" { Path::new("/outbox") } else { dir.as_path() };
        let script = format!("cd {} && cat >>{name} && echo >>{name} && echo {name} >>order", seen.display());
        let hook =
            json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }]);
        spec["hooks"][name] = hook;
    }
    let outbox =
        json!({ "destination": "/outbox", "type": "bind", "source": dir, "options": ["rbind", "rw"] });
    spec["mounts"].as_array_mut().context("the default spec has mounts")?.push(outbox);
    let path = daemon.write_spec("hooked", &spec)?;
    daemon.run_spec("hooked", &path).finish()?.ok()?.prints("hello")?;
    let order = fs::read_to_string(dir.join("order")).context("no hook ran")?;
    // libcontainer signals a native container's process to start and runs `poststart` at once, so
    // their order is undefined there.
    let fixed = |name: &&str| guest == Guest::Wasm || *name != "startContainer";
    ensure!(
        order.lines().filter(fixed).eq(HOOKS.into_iter().filter(fixed)),
        "hooks ran in the order {order:?}"
    );
    ensure!(order.lines().count() == HOOKS.len(), "hooks ran in the order {order:?}");
    for name in HOOKS {
        let state: Value = serde_json::from_str(fs::read_to_string(dir.join(name))?.trim())?;
        ensure!(state["id"] == "hooked", "{name} was given the state {state}");
    }
    Ok(())
}

/// Create fails when a hook fails or times out; the census checks that nothing is left.
fn hook_fails(daemon: &Containerd, guest: Guest, script: &str, timeout: Option<u32>) -> Result<()> {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let mut spec = daemon.default_spec("hooked", guest.hello())?;
        let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": timeout }]);
        spec["hooks"][name] = hook;
        let path = daemon.write_spec("hooked", &spec)?;
        let start = Instant::now();
        let output = daemon.run_spec("hooked", &path).finish()?;
        ensure!(output.code != 0 && output.stdout.is_empty(), "{name}: it ran: {output:?}");
        ensure!(start.elapsed() < LATE, "{name}: it took {:?}", start.elapsed());
        output.complains("hook").with_context(|| name)?;
    }
    Ok(())
}

/// The limit is set in the cgroup of the container's process.
fn memory_limit(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("limited").flag("--memory-limit", LIMIT).args(guest.ready()).detach()?;
    let file = memory_file(daemon.task("limited")?.pid)?;
    let limit = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    ensure!(limit.trim() == LIMIT, "{} says {limit:?}", file.display());
    daemon.kill_and_delete("limited")
}

/// The file with the memory limit of a process's cgroup, in either cgroup version.
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

/// Runs a guest with a spec modified by `change`, and passes its pid to `check`.
fn changed(
    daemon: &Containerd,
    guest: Guest,
    change: impl Fn(&mut Value),
    check: impl Fn(i32) -> Result<()>,
) -> Result<()> {
    let mut spec = daemon.default_spec("changed", guest.ready())?;
    change(&mut spec);
    let path = daemon.write_spec("changed", &spec)?;
    daemon.run_spec("changed", &path).detach()?;
    check(daemon.task("changed")?.pid)?;
    daemon.kill_and_delete("changed")
}

/// The CPUs and memory nodes that a container may use, from its start.
fn cpuset(daemon: &Containerd, guest: Guest) -> Result<()> {
    let only_first =
        |spec: &mut Value| spec["linux"]["resources"]["cpu"] = json!({ "cpus": "0", "mems": "0" });
    changed(daemon, guest, only_first, |pid| {
        let allowed = ["Cpus_allowed_list", "Mems_allowed_list"].map(|key| kernel::status(pid, key));
        ensure!(allowed.iter().all(|list| list.as_ref().is_ok_and(|list| list == "0")), "{allowed:?}");
        Ok(())
    })
}

/// Root inside is an unprivileged user outside, and owns the image's files all the same.
fn user_namespace(daemon: &Containerd, guest: Guest) -> Result<()> {
    const MAP: &str = "0:200000:65536";
    daemon.run("mapped").flag("--uidmap", MAP).flag("--gidmap", MAP).args(guest.ready()).detach()?;
    let pid = daemon.task("mapped")?.pid;
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    ensure!(map.split_whitespace().eq(MAP.split(':')), "its map of users is {map:?}");
    for key in ["Uid", "Gid"] {
        let ids = kernel::status(pid, key)?;
        ensure!(ids.split(' ').all(|id| id == "200000"), "{key} is {ids:?} on the host");
    }
    let own = daemon.exec(
        "mapped",
        "who",
        match guest {
            Guest::Wasm => &["/guests/secret.wasm"],
            Guest::Native => &["/bin/cat", "/secret"],
        },
    );
    own.finish()?.ok()?;
    daemon.kill_and_delete("mapped")?;
    let map = |id: u32, host: u32, size: u32| json!({ "containerID": id, "hostID": host, "size": size });
    let several = |spec: &mut Value| {
        for maps in ["uidMappings", "gidMappings"] {
            spec["linux"][maps] = json!([map(0, 0, 1000), map(1000, 300000, 5)]);
        }
        let namespaces = spec["linux"]["namespaces"].as_array_mut();
        namespaces.into_iter().for_each(|all| all.push(json!({ "type": "user" })));
    };
    changed(daemon, guest, several, |pid| {
        for file in ["uid_map", "gid_map"] {
            let maps = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
            let words: Vec<_> = maps.split_whitespace().collect();
            ensure!(words == ["0", "0", "1000", "1000", "300000", "5"], "{file}: {maps:?}");
        }
        Ok(())
    })
}

/// A later mount of the host in a volume propagates into the container unless the volume is private.
fn propagation(daemon: &Containerd, guest: Guest) -> Result<()> {
    const VOLUMES: [(&str, Option<&str>, bool); 4] = [
        ("/plain", None, true),
        ("/slave", Some("rslave"), true),
        ("/shared", Some("rshared"), true),
        ("/own", Some("rprivate"), false),
    ];
    let dir = shared_dir(daemon, &format!("propagated-{}", guest.word()))?;
    let later = dir.join("later");
    fs::create_dir(&later)?;
    const NONE: Option<&str> = None;
    mount(Some(&dir), &dir, NONE, MsFlags::MS_BIND, NONE)?;
    mount(NONE, &dir, NONE, MsFlags::MS_SHARED, NONE)?;
    let mut spec = daemon.default_spec("propagated", guest.ready())?;
    let mounts = spec["mounts"].as_array_mut().context("the default spec has mounts")?;
    for (path, option, _) in VOLUMES {
        let options: Vec<_> = ["rbind"].into_iter().chain(option).collect();
        mounts.push(json!({ "destination": path, "type": "bind", "source": dir, "options": options }));
    }
    let path = daemon.write_spec("propagated", &spec)?;
    daemon.run_spec("propagated", &path).detach()?;
    mount(Some("tmpfs"), &later, Some("tmpfs"), MsFlags::empty(), NONE)?;
    let seen = kernel::mounts(daemon.task("propagated")?.pid)?;
    for (path, option, comes) in VOLUMES {
        let point = Path::new(path).join("later");
        let came = seen.iter().any(|mount| mount.point == point);
        ensure!(came == comes, "a volume with the option {option:?}: a later mount came: {came}");
    }
    umount2(&later, MntFlags::empty())?;
    daemon.kill_and_delete("propagated")?;
    Ok(umount2(&dir, MntFlags::empty())?)
}

fn rlimits(daemon: &Containerd, guest: Guest) -> Result<()> {
    let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 321, "hard": 654 }]);
    changed(
        daemon,
        guest,
        |spec| spec["process"]["rlimits"] = limit.clone(),
        |pid| is("the limit of open files", &kernel::limit(pid, "Max open files")?, "321 654"),
    )
}

/// A guest's stack is limited by its RLIMIT_STACK; if it has none of its own, by Linux's default.
fn stack(daemon: &Containerd) -> Result<()> {
    let mut spec = daemon.default_spec("deep", &["/cases/deep.wasm"])?;
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 20 }]);
    let path = daemon.write_spec("deep", &spec)?;
    daemon.run_spec("deep", &path).finish()?.exits(134)?.complains("call stack exhausted").map(drop)
}

fn umask_and_groups(daemon: &Containerd, guest: Guest) -> Result<()> {
    let user = json!({ "uid": USER.uid, "gid": USER.gid, "umask": 0o027, "additionalGids": [77, 5, 88] });
    changed(
        daemon,
        guest,
        |spec| spec["process"]["user"] = user.clone(),
        |pid| {
            is("the umask", &kernel::status(pid, "Umask")?, "0027")?;
            is("the list of groups", &kernel::status(pid, "Groups")?, "5 77 88")
        },
    )
}

/// The hostname is set in a UTS namespace that is not the host's.
fn hostname(daemon: &Containerd, guest: Guest) -> Result<()> {
    changed(
        daemon,
        guest,
        |spec| spec["hostname"] = json!("barge"),
        |pid| {
            let ours = fs::read_link("/proc/self/ns/uts")?;
            ensure!(kernel::link(pid, "ns/uts")? != ours, "the guest is in the host's UTS namespace");
            let enter = format!("--uts=/proc/{pid}/ns/uts");
            let output = run(Command::new("nsenter").arg(enter).args(["busybox", "hostname"]))?;
            output.ok()?.prints("barge").map(drop)
        },
    )
}

fn is(what: &str, shown: &str, expected: &str) -> Result<()> {
    ensure!(shown == expected, "{what} is {shown:?} instead of {expected:?}");
    Ok(())
}

/// A single file, mounted as Kubernetes mounts /etc/hosts, is found through `/` and keeps the mount's access mode.
fn file_mount(daemon: &Containerd, writable: bool) -> Result<()> {
    let file = daemon.scope.dir.join("tmp").join(format!("hosts-{writable}"));
    fs::write(&file, "127.0.0.1 localhost\n")?;
    let run = daemon.run("mounted").bind(&file, "/etc/hosts", writable).args(&["/guests/hosts.wasm"]);
    let output = run.finish()?.prints("127.0.0.1 localhost")?;
    let left = fs::read_to_string(&file)?;
    if writable {
        output.ok()?;
        return is("the file", &left, "X27.0.0.1 localhost\n");
    }
    let refused = READ_ONLY.contains(&output.code);
    ensure!(refused, "opening it for writing failed with errno {}", output.code);
    is("the file", &left, "127.0.0.1 localhost\n")
}

/// A file cannot be mounted on a directory, nor a directory on a file.
fn mount_kinds(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "kinds")?;
    let file = dir.join("file");
    fs::write(&file, "")?;
    let volumes = [(&file, "/bin", "a file on a directory"), (&dir, "/bin/busybox", "a directory on a file")];
    for (source, target, why) in volumes {
        let output = daemon.run("kinds").bind(source, target, false).args(Guest::Wasm.hello()).finish()?;
        ensure!(output.code != 0, "it runs: {output:?}");
        output
            .complains(&format!("cannot mount {target}: not a directory: this mounts {why} of the image"))?;
    }
    Ok(())
}

/// A trap's message is in the termination log, where Kubernetes reads it, and on stderr.
fn termination_log(daemon: &Containerd) -> Result<()> {
    let log = daemon.scope.dir.join("tmp/termination-log");
    fs::write(&log, "")?;
    let run = daemon.run("trapped").bind(&log, "/dev/termination-log", true);
    run.args(&["/guests/trap.wasm"]).finish()?.exits(134)?.complains("unreachable")?;
    let logged = fs::read_to_string(&log)?;
    ensure!(logged.contains("unreachable"), "the termination log says {logged:?}");
    Ok(())
}
