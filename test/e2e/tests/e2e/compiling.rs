//! Compiling is done apart from everything, within the node's bounds, and no longer than somebody waits for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::kernel;
use e2e::process::{LIMIT, Running, poll};
use e2e::runner::Scenario;

use crate::cache::heavy;
use crate::data::shared_folder;
use crate::options::with;

/// Users from here on are no container's.
const NOBODY_ELSES: u32 = 0xf000_0000;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::ours("wasm-compiler-jail", jail)]
}

/// A run of a module that takes its time to compile, each time.
fn long(daemon: &Containerd, id: &str, options: &str) -> Result<Running> {
    let folder = shared_folder(daemon, id)?;
    fs::write(folder.join("heavy.wasm"), heavy(20))?;
    let run = with(daemon, id, &format!("CacheDir = 'off'\n{options}"))?;
    run.args(&["/own/heavy.wasm"]).bind(&folder, "/own", false).start()
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
    let _one = long(daemon, "one", "")?;
    let _other = long(daemon, "other", "")?;
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
        let root: Vec<PathBuf> = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("root"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        ensure!(root.is_empty(), "it sees {root:?}");
    }
    ensure!(user(pids[0])? != user(pids[1])?, "two compilers are one user");
    Ok(())
}
