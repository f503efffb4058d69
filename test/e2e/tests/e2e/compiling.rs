//! Compiling runs isolated, within the node's limits, and only while a client waits for it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::census::Census;
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::kernel;
use e2e::process::{LIMIT, Running, poll};
use e2e::runner::Scenario;

use crate::cache::heavy;
use crate::data::shared_dir;
use crate::options::with;

/// The first of the user ids that no container has.
const COMPILER_UIDS: u32 = 0xf000_0000;
/// How long a compiler may live on when its client has gone.
const SOON: Duration = Duration::from_secs(2);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-compiler-jail", jail),
        Scenario::ours("wasm-compile-places", places).on_newest(),
        Scenario::ours("wasm-compile-given-up", given_up),
        Scenario::ours("wasm-compile-charged", charged),
    ]
}

/// A run of a module that takes long to compile, every time.
fn long<'a>(daemon: &'a Containerd, id: &str, functions: u32, options: &str) -> Result<Run<'a>> {
    let dir = shared_dir(daemon, id)?;
    fs::write(dir.join("heavy.wasm"), heavy(functions))?;
    let run = with(daemon, id, &format!("CacheDir = 'off'\n{options}"))?;
    Ok(run.args(&["/own/heavy.wasm"]).bind(&dir, "/own", false))
}

/// The processes that compile: only these run as a user other than root.
fn compilers(daemon: &Containerd) -> Result<Vec<i32>> {
    let pids = daemon.scope.processes()?.into_iter().map(|process| process.pid);
    Ok(pids.filter(|pid| user(*pid).is_ok_and(|user| user != 0)).collect())
}

fn user(pid: i32) -> Result<u32> {
    Ok(kernel::status(pid, "Uid")?.split(' ').next().context("no user")?.parse()?)
}

/// The compiler has no privileges, sees nothing of the host, and shares no user or namespace with others.
fn jail(daemon: &Containerd) -> Result<()> {
    let _one = long(daemon, "one", 20, "")?.start()?;
    let _other = long(daemon, "other", 20, "")?.start()?;
    let pids = poll("two compilers", LIMIT, || Ok(Some(compilers(daemon)?).filter(|pids| pids.len() == 2)))?;
    let daemons = [daemon.shim_of("one")?.pid, daemon.shim_of("other")?.pid];
    for pid in &pids {
        let shown =
            poll("the filter", LIMIT, || Ok(Some(kernel::status(*pid, "Seccomp")?).filter(|it| it == "2")));
        shown.with_context(|| format!("process {pid}"))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let shown = kernel::status(*pid, set)?;
            ensure!(shown == "0".repeat(16), "{set} is {shown}");
        }
        ensure!(kernel::status(*pid, "NoNewPrivs")? == "1", "it may gain privileges");
        ensure!(kernel::status(*pid, "Groups")?.is_empty(), "it has groups");
        ensure!(user(*pid)? >= COMPILER_UIDS, "it is user {}, which others may be, too", user(*pid)?);
        for kind in ["mnt", "pid", "net", "ipc", "uts"] {
            let of = |pid: i32| kernel::link(pid, &format!("ns/{kind}"));
            let others = daemons.iter().chain(pids.iter().filter(|other| *other != pid));
            for other in others {
                ensure!(of(*pid)? != of(*other)?, "it shares its {kind} namespace with process {other}");
            }
        }
        // LLVM works with files, which belong to the compiler's user.
        let own = user(*pid)?;
        let root = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("root"))?.flatten();
        let others = root.filter(|entry| entry.metadata().is_ok_and(|found| found.uid() != own));
        let others: Vec<PathBuf> = others.map(|entry| entry.path()).collect();
        ensure!(others.is_empty(), "it sees {others:?}");
    }
    ensure!(user(pids[0])? != user(pids[1])?, "two compilers run as the same user");
    Ok(())
}

/// The node compiles at most as many modules at once as the option allows, for all pods together; the others wait.
fn places(daemon: &Containerd) -> Result<()> {
    let run = |id| long(daemon, id, 1, "CompileJobs = 1\n")?.start();
    let mut running = ["first", "second", "third"].into_iter().map(run).collect::<Result<Vec<_>>>()?;
    let mut max = 0;
    poll("all to have run", LIMIT, || {
        let now = compilers(daemon)?;
        max = max.max(now.len());
        ensure!(now.len() <= 1, "{} compile at once", now.len());
        let ended = running.iter_mut().map(Running::ended).collect::<Result<Vec<_>>>()?;
        Ok(ended.into_iter().all(|ended| ended).then_some(()))
    })?;
    ensure!(max == 1, "no compiler was seen");
    running.into_iter().try_for_each(|running| running.finish(LIMIT)?.ok().map(drop))
}

/// When its client goes, a compilation ends and leaves nothing behind.
fn given_up(daemon: &Containerd) -> Result<()> {
    let before = Census::take(daemon)?;
    let running = long(daemon, "left", 20, "")?.start()?;
    let pids = poll("the compiler", LIMIT, || Ok(Some(compilers(daemon)?).filter(|pids| !pids.is_empty())))?;
    // Kills the client.
    drop(running);
    poll("the compiler's end", SOON, || {
        Ok((!Path::new("/proc").join(pids[0].to_string()).exists()).then_some(()))
    })?;
    // A killed client leaves its container behind, for the next client to remove.
    daemon.delete_container("left")?;
    before.settled(daemon)
}

/// Compiling is charged to a cgroup of the node, so that a small pod can run what takes much memory to compile.
fn charged(daemon: &Containerd) -> Result<()> {
    const SMALL: u64 = 128 << 20;
    let run = long(daemon, "small", 2, "CompileMib = 2000\n")?.flag("--memory-limit", &SMALL.to_string());
    let running = run.start()?;
    let pid = poll("the compiler", LIMIT, || Ok(compilers(daemon)?.first().copied()))?;
    let dir = kernel::cgroup(pid, "memory").or_else(|_| kernel::cgroup(pid, ""))?;
    let (all, bytes) = (dir.parent().context("no parent")?, |file| {
        let number = fs::read_to_string(dir.join(file))?.trim().parse::<u64>();
        anyhow::Ok(number?)
    });
    ensure!(all.ends_with("lighter-compiling"), "it is in {}", dir.display());
    let limit = bytes("memory.limit_in_bytes").or_else(|_| bytes("memory.max"))?;
    ensure!(limit == 2000 << 20, "its limit is {limit}");
    running.finish(LIMIT)?.ok()?;
    let peak = bytes("memory.max_usage_in_bytes").or_else(|_| bytes("memory.peak"))?;
    ensure!(peak > SMALL, "it took {peak} bytes only");
    Ok(())
}
