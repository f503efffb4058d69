//! The privileges of a Wasm guest's process, as the kernel shows them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use conformance::User;
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::kernel;
use e2e::process::LIMIT;
use e2e::runner::Scenario;
use serde_json::Value;

use crate::data::shared_dir;

/// The user that is not root.
pub const USER: User = User { uid: 1234, gid: 5678 };
/// WASI's number for "permission denied".
const DENIED: i32 = 2;
/// What every guest finds in its /dev.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];
/// File systems that expose the kernel: no guest gets one, even if the spec lists it.
const VIEWS: [&str; 6] = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"];
/// The descriptors that an engine uses to wait.
const WAITING: [&str; 3] = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("jail-root", |daemon| jail(daemon, None)),
        Scenario::ours("jail-1234", |daemon| jail(daemon, Some(USER))),
        Scenario::ours("jail-secret-root", |daemon| {
            daemon.run("secret").args(&["/guests/secret.wasm"]).finish()?.exits(0).map(drop)
        }),
        Scenario::ours("jail-secret-1234", |daemon| {
            let run = daemon.run("secret").user(Some(USER)).args(&["/guests/secret.wasm"]);
            run.finish()?.exits(DENIED).map(drop)
        }),
        Scenario::ours("wasm-owner", |daemon| owner(daemon, Guest::Wasm)),
        Scenario::any("native-owner", |daemon| owner(daemon, Guest::Native)),
        Scenario::ours("jail-descriptors", |daemon| descriptors(daemon, "/guests/ready.wasm")),
        Scenario::ours("jail-descriptors-component", |daemon| {
            descriptors(daemon, "/cases/stop-component-sleep.wasm")
        }),
        Scenario::ours("jail-mounts", mounts),
        Scenario::ours("jail-shown", shown),
    ]
}

/// No capabilities, no_new_privs, a seccomp filter, and the spec's ids.
fn jail(daemon: &Containerd, user: Option<User>) -> Result<()> {
    daemon.run("jail").user(user).args(Guest::Wasm.ready()).detach()?;
    let pid = daemon.task("jail")?.pid;
    let spec = daemon.spec_of("jail")?;
    let user = &spec["process"]["user"];
    let four = |id: &Value| vec![id.to_string(); 4].join(" ");
    let mut expected: Vec<(&str, String)> =
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| (set, "0".repeat(16))).into();
    expected.push(("NoNewPrivs", "1".into()));
    expected.push(("Seccomp", "2".into()));
    expected.push(("Uid", four(&user["uid"])));
    expected.push(("Gid", four(&user["gid"])));
    expected.push(("Groups", groups(user)));
    expected.push(("Umask", "0022".into()));
    for (key, value) in expected {
        let shown = kernel::status(pid, key)?;
        ensure!(shown == value, "{key} is {shown:?} instead of {value:?}");
    }
    daemon.kill_and_delete("jail")
}

/// The spec's additional groups as the kernel lists them: sorted.
fn groups(user: &Value) -> String {
    let listed = user["additionalGids"].as_array().into_iter().flatten();
    let mut gids: Vec<u64> = listed.filter_map(Value::as_u64).collect();
    gids.sort_unstable();
    gids.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// A file made by user 1234 in a mount belongs to that user on the host.
fn owner(daemon: &Containerd, guest: Guest) -> Result<()> {
    let id = format!("owner-{}", guest.word());
    let dir = shared_dir(daemon, &id)?;
    daemon.run(&id).user(Some(USER)).bind(&dir, "/outbox", true).args(guest.make()).finish()?.ok()?;
    let made = fs::metadata(dir.join("made"))?;
    let (uid, gid) = (made.uid(), made.gid());
    ensure!((uid, gid) == (USER.uid, USER.gid), "the file belongs to {uid}:{gid}");
    Ok(())
}

/// The memfd of the bound on the guest's memory.
const BOUND: &str = "/memfd:bound (deleted)";

/// Besides its stdio a guest holds its preopened directories and its engine's descriptors for waiting, nothing
/// else: no socket, no fifo, nothing of the daemon. The engine keeps the guest's own code open, read-only.
fn descriptors(daemon: &Containerd, entry: &str) -> Result<()> {
    let dir = shared_dir(daemon, &entry[1..].replace('/', "-"))?;
    let run = daemon.run("holder").bind(&dir, "/outbox", true).bind(&dir, "/inbox", false);
    let mut running = run.args(&[entry]).start()?;
    running.says("ready", LIMIT)?;
    let pid = daemon.task("holder")?.pid;
    let mut dirs = volumes(&daemon.spec_of("holder")?)?;
    dirs.push("/".into());
    let held = kernel::descriptors(pid)?;
    // Code is a file of the cache, in `fresh` while it has no name in `values` yet.
    let code = [daemon.cache().join("values"), daemon.cache().join("fresh")];
    let is_own = |link: &Path| link == Path::new(BOUND) || code.iter().any(|dir| link.starts_with(dir));
    for (number, link) in &held {
        let good =
            dirs.contains(link) || is_own(link) || WAITING.iter().any(|waiting| link == Path::new(waiting));
        ensure!(good, "descriptor {number} leads to {}; all of them: {held:?}", link.display());
        let its_own = link != Path::new("/") || same_file(pid, &format!("fd/{number}"), "root")?;
        ensure!(its_own, "descriptor {number} leads to a root that is not the guest's: {held:?}");
    }
    for (number, link) in held.iter().filter(|(_, link)| is_own(link)) {
        ensure!(!kernel::writable(pid, *number)?, "the guest's process may write {}", link.display());
    }
    for dir in ["/", "/outbox", "/inbox"] {
        let times = held.iter().filter(|(_, link)| link == Path::new(dir)).count();
        // The host's root, or that of a detached file system, would be shown as `/`, too.
        ensure!(times == 1, "{dir} is open {times} times: {held:?}");
    }
    daemon.kill("holder", "SIGKILL", false)?;
    running.finish(LIMIT)?.exits(137).map(drop)
}

/// `ps` shows a guest's own arguments, environment and name. The daemon and the nursery keep only those variables of
/// containerd's environment that they read.
fn shown(daemon: &Containerd) -> Result<()> {
    const READ: [&str; 4] = ["TTRPC_ADDRESS", "LIGHTER_CACHE", "LIGHTER_ASKER", "MALLOC_ARENA_MAX"];
    let args = ["/guests/ready.wasm", "one", "two three"];
    daemon.run("shown").env("SHOWN=yes no").args(&args).detach()?;
    let pid = daemon.task("shown")?.pid;
    let strings = |pid: i32, file: &str| {
        let text =
            fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("{file} of {pid}"))?;
        anyhow::Ok(text.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>())
    };
    ensure!(strings(pid, "cmdline")? == args, "its arguments are shown as {:?}", strings(pid, "cmdline")?);
    let spec = daemon.spec_of("shown")?;
    let env = spec["process"]["env"].as_array().context("the spec has no environment")?;
    ensure!(env.iter().any(|pair| pair == "SHOWN=yes no"), "the spec has {env:?}");
    ensure!(strings(pid, "environ")? == *env, "its environment is shown as {:?}", strings(pid, "environ")?);
    ensure!(kernel::status(pid, "Name")? == "ready.wasm", "it is called {}", kernel::status(pid, "Name")?);
    let host: i32 = kernel::status(pid, "PPid")?.parse()?;
    let processes = daemon.scope.processes()?;
    let nursery = processes.iter().find(|process| process.parent == host && process.pid != pid);
    for pid in [host, nursery.context("there is no nursery")?.pid] {
        let strings = strings(pid, "environ")?;
        let others =
            strings.iter().filter(|pair| !READ.contains(&pair.split('=').next().unwrap_or_default()));
        let others: Vec<_> = others.collect();
        ensure!(others.is_empty() && !strings.is_empty(), "process {pid} has {others:?} of {strings:?}");
    }
    daemon.kill_and_delete("shown")
}

/// Whether two links of process `pid` lead to the same file.
fn same_file(pid: i32, one: &str, other: &str) -> Result<bool> {
    let identity = |name: &str| {
        let file = fs::metadata(format!("/proc/{pid}/{name}")).with_context(|| format!("{name} of {pid}"))?;
        anyhow::Ok((file.dev(), file.ino()))
    };
    Ok(identity(one)? == identity(other)?)
}

/// A guest sees its root, a /dev with four devices and the spec's volumes; no /proc, no /sys, nothing
/// of the host.
fn mounts(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "mounts")?;
    let run = daemon.run("seer").bind(&dir, "/outbox", true).bind(&dir, "/inbox", false);
    run.args(Guest::Wasm.ready()).detach()?;
    let pid = daemon.task("seer")?.pid;
    let volumes = volumes(&daemon.spec_of("seer")?)?;
    let mounts = kernel::mounts(pid)?;
    let known = |path: &Path| volumes.iter().any(|volume| volume == path) || device(path);
    for mount in &mounts {
        let shown = (mount.point.display(), &mount.kind);
        let base = [Path::new("/"), Path::new("/dev")].contains(&mount.point.as_path());
        ensure!(base || known(&mount.point), "{} is mounted, a {}", shown.0, shown.1);
        ensure!(!VIEWS.contains(&mount.kind.as_str()), "{} is a {}", shown.0, shown.1);
    }
    for point in ["/", "/dev", "/outbox", "/inbox"] {
        ensure!(mounts.iter().any(|mount| mount.point == Path::new(point)), "no {point} in {mounts:?}");
    }
    let tmpfs = mounts.iter().any(|mount| mount.point == Path::new("/dev") && mount.kind == "tmpfs");
    ensure!(tmpfs, "/dev is no tmpfs: {mounts:?}");
    for path in inside(pid, "/dev")? {
        ensure!(known(&path), "{} is in the guest's /dev", path.display());
    }
    for empty in ["/proc", "/sys"] {
        ensure!(inside(pid, empty)?.is_empty(), "{empty} holds {:?}", inside(pid, empty)?);
    }
    daemon.kill_and_delete("seer")
}

/// The destinations of the spec's mounts, except those of [`VIEWS`].
fn volumes(spec: &Value) -> Result<Vec<PathBuf>> {
    let mounts = spec["mounts"].as_array().context("the spec has no mounts")?;
    let files = mounts.iter().filter(|mount| !VIEWS.iter().any(|view| mount["type"] == *view));
    Ok(files.filter_map(|mount| mount["destination"].as_str()).map(PathBuf::from).collect())
}

/// The paths in a directory, as process `pid` sees it.
fn inside(pid: i32, dir: &str) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(format!("/proc/{pid}/root{dir}"))?;
    listed.map(|entry| Ok(Path::new(dir).join(entry?.file_name()))).collect()
}

fn device(path: &Path) -> bool {
    DEVICES.iter().any(|device| path == Path::new(device))
}
