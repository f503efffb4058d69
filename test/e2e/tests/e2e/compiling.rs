//! Compiling is done apart from everything, within the node's bounds, and no longer than somebody waits for it.

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
use crate::data::shared_folder;
use crate::options::with;

/// Users from here on are no container's.
const NOBODY_ELSES: u32 = 0xf000_0000;
/// How long it may take until a compiler is ended for which nobody waits.
const SOON: Duration = Duration::from_secs(2);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-compiler-jail", jail),
        Scenario::ours("wasm-compile-places", places),
        Scenario::ours("wasm-compile-given-up", given_up),
        Scenario::ours("wasm-compile-charged", charged),
    ]
}

/// A run of a module that takes its time to compile, each time.
fn long<'a>(daemon: &'a Containerd, id: &str, functions: u32, options: &str) -> Result<Run<'a>> {
    let folder = shared_folder(daemon, id)?;
    fs::write(folder.join("heavy.wasm"), heavy(functions))?;
    let run = with(daemon, id, &format!("CacheDir = 'off'\n{options}"))?;
    Ok(run.args(&["/own/heavy.wasm"]).bind(&folder, "/own", false))
}

/// The processes that compile: nobody else here is another user than root.
fn compilers(daemon: &Containerd) -> Result<Vec<i32>> {
    let pids = daemon.scope.processes()?.into_iter().map(|process| process.pid);
    Ok(pids.filter(|pid| user(*pid).is_ok_and(|user| user != 0)).collect())
}

fn user(pid: i32) -> Result<u32> {
    Ok(kernel::status(pid, "Uid")?.split(' ').next().context("no user")?.parse()?)
}

/// The process has no power, nothing of the host in sight, and nobody in common with others.
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
        ensure!(user(*pid)? >= NOBODY_ELSES, "it is user {}, as others may be", user(*pid)?);
        for kind in ["mnt", "pid", "net", "ipc", "uts"] {
            let of = |pid: i32| kernel::link(pid, &format!("ns/{kind}"));
            let others = daemons.iter().chain(pids.iter().filter(|other| *other != pid));
            for other in others {
                ensure!(of(*pid)? != of(*other)?, "it shares its {kind} namespace with process {other}");
            }
        }
        // LLVM works with files, which are the compiler's own.
        let own = user(*pid)?;
        let root = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("root"))?.flatten();
        let others = root.filter(|entry| entry.metadata().is_ok_and(|found| found.uid() != own));
        let others: Vec<PathBuf> = others.map(|entry| entry.path()).collect();
        ensure!(others.is_empty(), "it sees {others:?}");
    }
    ensure!(user(pids[0])? != user(pids[1])?, "two compilers are one user");
    Ok(())
}

/// The node compiles as many modules at once as the option says, for all pods together; the others wait.
fn places(daemon: &Containerd) -> Result<()> {
    let run = |id| long(daemon, id, 1, "CompileJobs = 1\n")?.start();
    let mut running = ["first", "second", "third"].into_iter().map(run).collect::<Result<Vec<_>>>()?;
    let mut most = 0;
    poll("all to have run", LIMIT, || {
        let now = compilers(daemon)?;
        most = most.max(now.len());
        ensure!(now.len() <= 1, "{} compile at once", now.len());
        let ended = running.iter_mut().map(Running::ended).collect::<Result<Vec<_>>>()?;
        Ok(ended.into_iter().all(|ended| ended).then_some(()))
    })?;
    ensure!(most == 1, "no compiler was seen");
    running.into_iter().try_for_each(|running| running.finish(LIMIT)?.ok().map(drop))
}

/// With the client its compilation is over, and nothing is left of it.
fn given_up(daemon: &Containerd) -> Result<()> {
    let before = Census::take(daemon)?;
    let running = long(daemon, "left", 20, "")?.start()?;
    let pids = poll("the compiler", LIMIT, || Ok(Some(compilers(daemon)?).filter(|pids| !pids.is_empty())))?;
    // Kills the client.
    drop(running);
    poll("the compiler's end", SOON, || {
        Ok((!Path::new("/proc").join(pids[0].to_string()).exists()).then_some(()))
    })?;
    // What a client that is killed leaves of its own is the next one's to remove.
    daemon.delete_container("left")?;
    before.settled(daemon)
}

/// Compiling is charged to the node's cgroup for that, so that a small pod may run what was large to compile.
fn charged(daemon: &Containerd) -> Result<()> {
    const SMALL: u64 = 128 << 20;
    let run = long(daemon, "small", 2, "CompileMib = 2000\n")?.flag("--memory-limit", &SMALL.to_string());
    let running = run.start()?;
    let pid = poll("the compiler", LIMIT, || Ok(compilers(daemon)?.first().copied()))?;
    let folder = kernel::cgroup(pid, "memory").or_else(|_| kernel::cgroup(pid, ""))?;
    let (all, bytes) = (folder.parent().context("no parent")?, |file| {
        let number = fs::read_to_string(folder.join(file))?.trim().parse::<u64>();
        anyhow::Ok(number?)
    });
    ensure!(all.ends_with("lighter-compiling"), "it is in {}", folder.display());
    let limit = bytes("memory.limit_in_bytes").or_else(|_| bytes("memory.max"))?;
    ensure!(limit == 2000 << 20, "its limit is {limit}");
    running.finish(LIMIT)?.ok()?;
    let most = bytes("memory.max_usage_in_bytes").or_else(|_| bytes("memory.peak"))?;
    ensure!(most > SMALL, "it took {most} bytes only");
    Ok(())
}
