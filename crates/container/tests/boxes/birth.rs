//! Creates one guest's process in the shim's order, without containerd: the steps of the daemon, of the nursery, and
//! of the midwife where one is needed. Likewise one more guest in the box, a compiler and a pod's first process.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use container::birth::{self, Born};
use container::cgroup::{self, Cgroup, Entry, EntryMode};
use container::channel::{self, Channel};
use container::hooks::{self, Moment};
use container::inside::Inside;
use container::mounts::Trees;
use container::namespaces::Namespaces;
use container::seccomp::Filter;
use container::title::Layout;
use container::{bare, compiler, rootfs};
use serde::{Deserialize, Serialize};
use workload::Workload;

use crate::guest::{self, Handed, Home};

/// An order to the process in the box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Take these descriptors to build the box from.
    Take,
    /// Build the box.
    Enter,
    /// Try something and report the result.
    Try(String),
}

/// A report of that process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// It has joined the namespaces named by path.
    Joined,
    /// The box is built, and all privileges are dropped.
    Ready,
    /// The result of an attempt.
    Tried(String),
    /// There is no box, for this reason.
    Failed(String),
}

/// Creates a guest's process and brings it to its gate.
///
/// # Errors
/// Why there is no box, from the step that failed.
pub fn guest(workload: &Workload, layout: Option<Layout>) -> Result<(Born, Channel)> {
    rootfs::check_mount_sources(workload)?;
    let cgroup = Cgroup::of(workload)?;
    cgroup.check_free()?;
    let Entry { mode, fds: entry } = cgroup.make(workload)?;
    let namespaces = Namespaces::of(&workload.spec);
    let (joined, filter) = (namespaces.open()?, Filter::compile(&[])?);
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let mut handed: Vec<RawFd> = vec![theirs.as_raw_fd()];
    handed.extend(stdio.iter().map(AsRawFd::as_raw_fd));
    handed.extend(entry.iter().chain(&joined).map(AsRawFd::as_raw_fd));
    let born = fork_bare(&workload.bundle, &handed, |host, _| {
        let host = namespaces.sees_host().then_some(host);
        let opened = namespaces.opened(joined);
        let born_in = entry.first().filter(|_| mode == EntryMode::CloneInto);
        if namespaces.need_midwife() {
            if birth::sibling(0, None)?.is_some() {
                birth::exit_now(0);
            }
            host.map_or(Ok(()), bare::enter_host)?;
            opened.enter_before_birth()?;
        }
        let born =
            birth::sibling(namespaces.new, born_in.map(AsFd::as_fd)).context("cannot make a process")?;
        if born.is_none() {
            birth::close_all_but(&handed);
            let handed = Handed { stdio, files: entry, mode, filter, layout };
            birth::exit_now(guest::live(Home::New(&namespaces, opened), workload, handed, theirs));
        }
        Ok(born)
    })?;
    let outside = (mode == EntryMode::FromOutside).then_some(&cgroup);
    bring_to_gate(workload, &namespaces, outside, &born, &line)?;
    Ok((born, line))
}

/// Does the daemon's part of the box, and waits until it is built.
fn bring_to_gate(
    workload: &Workload,
    namespaces: &Namespaces,
    cgroup: Option<&Cgroup>,
    born: &Born,
    line: &Channel,
) -> Result<()> {
    expect(line, |report| matches!(report, Report::Joined))?;
    if let Some(cgroup) = cgroup {
        cgroup.admit(born.pid, workload)?;
    }
    if namespaces.new_user() {
        namespaces.map_ids(&workload.spec, born.pid)?;
    }
    hooks::run(workload, Moment::Created, born.pid)?;
    let trees = Trees::open(workload)?.into_fds();
    let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
    for some in trees.chunks(channel::MAX_FDS) {
        line.send(&Order::Take, some)?;
    }
    line.send(&Order::Enter, &[])?;
    expect(line, |report| matches!(report, Report::Ready))
}

/// A guest's process whose daemon has ended. Returns its pidfd, which is readable once it has ended.
///
/// # Errors
/// As [`guest`].
pub fn orphan(workload: &Workload, layout: Option<Layout>) -> Result<OwnedFd> {
    let born = delivered(|_| {
        let (born, line) = guest(workload, layout)?;
        // So that it does not end because its channel closes.
        line.send(&Order::Try("sleep".to_owned()), &[])?;
        Ok(Some(born))
    });
    Ok(born?.pidfd)
}

/// Brings one more guest's process to its gate, in the box of the first.
///
/// # Errors
/// As [`guest`].
pub fn exec(workload: &Workload, first: &Born, layout: Option<Layout>) -> Result<(Born, Channel)> {
    let dirs = cgroup::dirs_of(workload, first.pid)?;
    let Entry { mode, fds: entry } = dirs.entry()?;
    let (namespaces, filter) = (Namespaces::of(&workload.spec), Filter::compile(&[])?);
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let mut handed: Vec<RawFd> = vec![theirs.as_raw_fd(), first.pidfd.as_raw_fd()];
    handed.extend(stdio.iter().chain(&entry).map(AsRawFd::as_raw_fd));
    let born = fork_bare(&workload.bundle, &handed, |host, line| {
        drop(host);
        let inside = Inside::of(&namespaces, first.pid, &first.pidfd)?;
        if Inside::needs_midwife(&namespaces) {
            inside.enter_before_birth()?;
        }
        let born = birth::sibling(0, None).context("cannot make a process")?;
        if born.is_none() {
            // Inherited beside what it is handed. The namespace files stay open: their numbers are not known here.
            [line, first.pidfd.as_raw_fd()].into_iter().try_for_each(nix::unistd::close)?;
            let handed = Handed { stdio, files: entry, mode, filter, layout };
            birth::exit_now(guest::live(Home::There(inside), workload, handed, theirs));
        }
        Ok(born)
    })?;
    expect(&line, |report| matches!(report, Report::Joined))?;
    if mode == EntryMode::FromOutside {
        dirs.admit(born.pid)?;
    }
    line.send(&Order::Enter, &[])?;
    expect(&line, |report| matches!(report, Report::Ready))?;
    Ok((born, line))
}

/// Creates a process in the box in which the shim compiles, where it waits for orders as a guest does.
///
/// # Errors
/// Why there is no box.
pub fn compiler(dir: &Path) -> Result<(Born, Channel)> {
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let handed: Vec<_> = stdio.iter().map(AsRawFd::as_raw_fd).chain([theirs.as_raw_fd()]).collect();
    let born = fork_bare(dir, &handed, |host, _| {
        drop(host);
        let born = birth::sibling(compiler::NAMESPACES, None).context("cannot make a process")?;
        if born.is_none() {
            birth::close_all_but(&handed);
            birth::exit_now(guest::compile(stdio, theirs));
        }
        Ok(born)
    })?;
    expect(&line, |report| matches!(report, Report::Ready))?;
    Ok((born, line))
}

/// Standard streams on /dev/null.
fn nothing() -> Result<[OwnedFd; 3]> {
    let null = || File::options().read(true).write(true).open("/dev/null");
    Ok([null()?.into(), null()?.into(), null()?.into()])
}

/// A sleeping process in namespaces of its own: the first of a pod.
///
/// # Errors
/// When it cannot be made.
pub fn pod() -> Result<Born> {
    const SHARED: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    delivered(|_| {
        let born = birth::sibling(SHARED, None)?;
        if born.is_none() {
            birth::close_all_but(&[]);
            loop {
                nix::unistd::pause();
            }
        }
        Ok(born)
    })
}

/// Does the nursery's part: a process that leaves the host's mount namespace, keeps only the descriptors in `handed`,
/// and runs `work`, which forks another one. `work` gets the host's mount namespace and the descriptor that reports
/// the new process, and returns in the parent only.
fn fork_bare(
    dir: &Path,
    handed: &[RawFd],
    work: impl FnOnce(File, RawFd) -> Result<Option<Born>>,
) -> Result<Born> {
    delivered(|line| {
        let host = bare::host()?;
        bare::leave_host(dir)?;
        let kept: Vec<_> = handed.iter().copied().chain([line, host.as_raw_fd()]).collect();
        birth::close_all_but(&kept);
        work(host, line)
    })
}

/// Runs `work` in a child and returns the process that it creates. `work` gets the descriptor that reports it.
fn delivered(work: impl FnOnce(RawFd) -> Result<Option<Born>>) -> Result<Born> {
    let (receiver, sender) = Channel::pair()?;
    if birth::child()?.is_none() {
        drop(receiver);
        let (outcome, pidfd): (Result<i32, String>, Option<OwnedFd>) = match work(sender.as_raw_fd()) {
            Ok(Some(born)) => (Ok(born.pid), Some(born.pidfd)),
            Ok(None) => (Err("it returned in the child".into()), None),
            Err(error) => (Err(format!("{error:#}")), None),
        };
        let _ = sender.send(&outcome, &pidfd.iter().map(AsFd::as_fd).collect::<Vec<_>>());
        birth::exit_now(0);
    }
    drop(sender);
    match receiver.receive::<Result<i32, String>>()?.map(|(outcome, mut fds)| (outcome, fds.pop())) {
        Some((Ok(pid), Some(pidfd))) => Ok(Born { pid, pidfd }),
        Some((Err(sentence), _)) => Err(Error::msg(sentence)),
        _ => bail!("the process that makes another has ended"),
    }
}

/// Waits for the report that must come next.
///
/// # Errors
/// The process's other report, or its end.
pub fn expect(line: &Channel, is_it: impl Fn(&Report) -> bool) -> Result<()> {
    match line.receive()?.map(|(report, _)| report) {
        Some(report) if is_it(&report) => Ok(()),
        Some(Report::Failed(sentence)) => Err(Error::msg(sentence)),
        Some(report) => bail!("the process in the box said {report:?} out of turn"),
        None => bail!("the process in the box has ended"),
    }
}
