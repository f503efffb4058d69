//! The box of a Wasm guest, built from inside by the process that will be the guest.
//!
//! Read from the top, it lists the steps in the order that keeps the fewest privileges: namespaces and mounts as
//! root, then the user, then no capabilities, then the filter.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, sethostname};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use workload::Workload;

use crate::hooks::Starter;
use crate::inside::Inside;
use crate::mounts::Trees;
use crate::namespaces::{Namespaces, Opened};
use crate::seccomp::Filter;
use crate::{bare, birth, ending, hooks, loopback, mounts, privileges, profile, terminal};

/// Enters the namespaces that the spec names by path, before hooks outside look at this process.
///
/// # Errors
/// Names the namespace.
pub fn join(namespaces: &Namespaces, opened: &Opened) -> anyhow::Result<()> {
    if !namespaces.new_mount() {
        bail!("the spec has no mount namespace of its own; a Wasm guest's root cannot be the host's");
    }
    opened.enter()
}

/// Builds the box around the process: everything that needs root. Returns the process that runs the hooks due at the
/// guest's start.
///
/// # Errors
/// A sentence that names the step and its object.
pub fn build(workload: &Workload, namespaces: &Namespaces, trees: Trees) -> anyhow::Result<Option<Starter>> {
    let process = workload.process();
    let mut inherited = birth::open_numbers().context("cannot list the open files")?;
    // The trees' descriptors are closed below, and a library may reuse their numbers.
    inherited.retain(|number| !trees.numbers().contains(number));
    if namespaces.in_user() {
        // The ids are mapped since the daemon's order: whatever is created from here on belongs to the namespace.
        privileges::become_root()?;
    }
    // While the host's /proc is still visible.
    set_sysctls(workload, namespaces)?;
    // The process is in its cgroup now, which becomes the root of the namespace.
    namespaces.enter_new_cgroup()?;
    if namespaces.new_network() {
        loopback::up().context("cannot bring up the loopback interface")?;
    }
    if let Some(name) = workload.spec.hostname() {
        ensure!(
            namespaces.has(libc::CLONE_NEWUTS),
            "cannot set the host name to {name:?}: the container has the host's"
        );
        sethostname(name).with_context(|| format!("cannot set the host name to {name:?}"))?;
    }
    let root = mounts::build(workload, namespaces, trees, &place(workload, namespaces)?)?;
    hooks::create_container(workload)?;
    mounts::pivot(root)?;
    mounts::share_root(workload)?;
    // Libraries may keep a descriptor of the host's /proc, which the guest must not find.
    birth::close_all_but(&inherited);
    // As runc: creates a missing working directory while the root is still writable.
    let cwd = process.cwd();
    fs::create_dir_all(cwd)
        .with_context(|| format!("cannot make the working directory {}", cwd.display()))?;
    if workload.readonly_rootfs() {
        mounts::make_root_readonly()?;
    }
    privileges::limit(process)?;
    hooks::prepare_start(workload)
}

/// Where the root is attached before it becomes the root.
fn place(workload: &Workload, namespaces: &Namespaces) -> anyhow::Result<PathBuf> {
    if !namespaces.sees_host() {
        return Ok(bare::PLACE.into());
    }
    // Mounts in this copy of the host's namespace must not propagate to the host.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context("cannot part from the host's mounts")?;
    Ok(workload.rootfs())
}

/// Enters an existing box, for one more guest in it.
///
/// # Errors
/// Names the step.
pub fn enter(workload: &Workload, inside: &Inside) -> anyhow::Result<()> {
    // Raising a limit needs the host's capabilities, so it comes before the user namespace.
    privileges::limit(workload.process())?;
    inside.enter()
}

/// Becomes the guest's user without any capability, in its working directory, with handlers only for the signals that
/// end it.
///
/// # Errors
/// Names the step.
pub fn give_up_power(workload: &Workload, filter: &Filter) -> anyhow::Result<()> {
    let process = workload.process();
    privileges::drop_to(process)?;
    // As the user: a directory that the user may not enter is refused, as for a Linux program.
    enter_dir(process.cwd())?;
    ending::on_signals().context("cannot install the signal handlers")?;
    // Processes in a shared pid namespace must not inspect it, even as the same user.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("cannot forbid looking into the process")?;
    // After the change of user, which clears it: no guest outlives its daemon.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("cannot tie the guest's life to the daemon's")?;
    // The spec's profile first: it cannot prevent the guest's filter, and no profile loosens that.
    let filter = filter.bound();
    profile::narrow_guest(workload)?;
    filter.install()
}

/// Makes the three descriptors the process's standard input, output and error; a terminal becomes its
/// controlling one.
///
/// # Errors
/// When a descriptor is not one.
pub fn take_stdio(workload: &Workload, stdio: [OwnedFd; 3]) -> anyhow::Result<()> {
    replace_stdio(stdio)?;
    if workload.terminal() { terminal::control() } else { Ok(()) }
}

/// Makes the three descriptors the process's standard input, output and error.
///
/// # Errors
/// When a descriptor is not one.
pub fn replace_stdio([stdin, stdout, stderr]: [OwnedFd; 3]) -> anyhow::Result<()> {
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    Ok(())
}

fn enter_dir(cwd: &Path) -> anyhow::Result<()> {
    chdir(cwd).with_context(|| format!("cannot enter the working directory {}", cwd.display()))
}

/// Writes the sysctls of the container's namespaces through the host's /proc, which shows each process its own. Those
/// of the whole host are refused, as by runc.
fn set_sysctls(workload: &Workload, namespaces: &Namespaces) -> anyhow::Result<()> {
    const IPC: [&str; 6] =
        ["kernel.msg", "kernel.sem", "kernel.shm", "kernel.auto_msgmni", "kernel.msgmni", "fs.mqueue."];
    let sysctls = workload.spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    for (key, value) in sysctls.into_iter().flatten() {
        let name = key.replace('/', ".");
        let own = (name.starts_with("net.") && namespaces.has(libc::CLONE_NEWNET))
            || (IPC.iter().any(|prefix| name.starts_with(prefix)) && namespaces.has(libc::CLONE_NEWIPC));
        ensure!(
            own && !name.contains(".."),
            "cannot set the sysctl {key}: it is the host's, not the container's"
        );
        fs::write(Path::new("/proc/sys").join(name.replace('.', "/")), value)
            .with_context(|| format!("cannot set the sysctl {key} to {value:?}"))?;
    }
    Ok(())
}
