//! One guest's birth, in the order in which the shim does it, without containerd: what the daemon does outside, what
//! the nursery does, and the midwife where one is needed. Beside it those of one more guest in the box, of a compiler and
//! of a pod.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use container::birth::{self, Born};
use container::cgroup::{self, Cgroup, Entry, Way};
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

/// What a process in its box is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// What it is to be built of, as descriptors.
    Take,
    /// To build the box.
    Enter,
    /// To try something, and answer what came of it.
    Try(String),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// It is in the namespaces of others.
    Joined,
    /// The box is built, and all power given up.
    Ready,
    /// What came of what was tried.
    Tried(String),
    /// It has no box, for this reason.
    Failed(String),
}

/// Has a guest's process come to its gate.
///
/// # Errors
/// Why there is no box, in the words of whichever step it was.
pub fn guest(workload: &Workload, layout: Option<Layout>) -> Result<(Born, Channel)> {
    rootfs::check_mount_sources(workload)?;
    let cgroup = Cgroup::of(workload)?;
    cgroup.check_free()?;
    let Entry { way, fds: entry } = cgroup.make(workload)?;
    let namespaces = Namespaces::of(&workload.spec);
    let (joined, filter) = (namespaces.open()?, Filter::compile(&[])?);
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let mut handed: Vec<RawFd> = vec![theirs.as_raw_fd()];
    handed.extend(stdio.iter().map(AsRawFd::as_raw_fd));
    handed.extend(entry.iter().chain(&joined).map(AsRawFd::as_raw_fd));
    let born = bear(&workload.bundle, &handed, |host, _| {
        let host = namespaces.sees_host().then_some(host);
        let opened = namespaces.opened(joined);
        let born_in = entry.first().filter(|_| way == Way::Birth);
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
            let handed = Handed { stdio, doors: entry, way, filter, layout };
            birth::exit_now(guest::live(Home::New(&namespaces, opened), workload, handed, theirs));
        }
        Ok(born)
    })?;
    let outside = (way == Way::Outside).then_some(&cgroup);
    bring_to_gate(workload, &namespaces, outside, &born, &line)?;
    Ok((born, line))
}

/// Does outside what the box needs from outside, and waits until it is built.
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
    for some in trees.chunks(channel::MOST_FDS) {
        line.send(&Order::Take, some)?;
    }
    line.send(&Order::Enter, &[])?;
    expect(line, |report| matches!(report, Report::Ready))
}

/// A guest's process whose daemon is gone: its descriptor, which is readable once it has ended.
///
/// # Errors
/// As [`guest`].
pub fn orphan(workload: &Workload, layout: Option<Layout>) -> Result<OwnedFd> {
    let born = delivered(|_| {
        let (born, line) = guest(workload, layout)?;
        // Not by the end of its line.
        line.send(&Order::Try("sleep".to_owned()), &[])?;
        Ok(Some(born))
    });
    Ok(born?.pidfd)
}

/// Has one more guest's process come to its gate, in the box of the first.
///
/// # Errors
/// As [`guest`].
pub fn exec(workload: &Workload, first: &Born, layout: Option<Layout>) -> Result<(Born, Channel)> {
    let folders = cgroup::folders_of(workload, first.pid)?;
    let Entry { way, fds: entry } = folders.entry()?;
    let (namespaces, filter) = (Namespaces::of(&workload.spec), Filter::compile(&[])?);
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let mut handed: Vec<RawFd> = vec![theirs.as_raw_fd(), first.pidfd.as_raw_fd()];
    handed.extend(stdio.iter().chain(&entry).map(AsRawFd::as_raw_fd));
    let born = bear(&workload.bundle, &handed, |host, line| {
        drop(host);
        let inside = Inside::of(&namespaces, first.pid, &first.pidfd)?;
        if Inside::needs_midwife(&namespaces) {
            inside.enter_before_birth()?;
        }
        let born = birth::sibling(0, None).context("cannot make a process")?;
        if born.is_none() {
            // What it has beside what it is handed; the files of the namespaces have numbers that nobody knows.
            [line, first.pidfd.as_raw_fd()].into_iter().try_for_each(nix::unistd::close)?;
            let handed = Handed { stdio, doors: entry, way, filter, layout };
            birth::exit_now(guest::live(Home::There(inside), workload, handed, theirs));
        }
        Ok(born)
    })?;
    expect(&line, |report| matches!(report, Report::Joined))?;
    if way == Way::Outside {
        folders.admit(born.pid)?;
    }
    line.send(&Order::Enter, &[])?;
    expect(&line, |report| matches!(report, Report::Ready))?;
    Ok((born, line))
}

/// Has a process come into the box in which the shim compiles, where it waits for orders as a guest does.
///
/// # Errors
/// Why there is no box.
pub fn compiler(folder: &Path) -> Result<(Born, Channel)> {
    let (line, theirs) = Channel::pair()?;
    let stdio = nothing()?;
    let handed: Vec<_> = stdio.iter().map(AsRawFd::as_raw_fd).chain([theirs.as_raw_fd()]).collect();
    let born = bear(folder, &handed, |host, _| {
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

/// Standard streams that lead nowhere.
fn nothing() -> Result<[OwnedFd; 3]> {
    let null = || File::options().read(true).write(true).open("/dev/null");
    Ok([null()?.into(), null()?.into(), null()?.into()])
}

/// A process that does nothing in namespaces of its own: the first of a pod.
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

/// What the nursery does: a process that leaves the host's mounts, keeps what is `handed` on alone, and makes another.
/// Its `work` is given the host's mount namespace, and by which descriptor is told whom it made, and comes back in
/// the mother only.
fn bear(
    folder: &Path,
    handed: &[RawFd],
    work: impl FnOnce(File, RawFd) -> Result<Option<Born>>,
) -> Result<Born> {
    delivered(|line| {
        let host = bare::host()?;
        bare::leave_host(folder)?;
        let kept: Vec<_> = handed.iter().copied().chain([line, host.as_raw_fd()]).collect();
        birth::close_all_but(&kept);
        work(host, line)
    })
}

/// Has a child do `work`, which makes a process, and returns that. It is given the descriptor by which it is told.
fn delivered(work: impl FnOnce(RawFd) -> Result<Option<Born>>) -> Result<Born> {
    let (told, tell) = Channel::pair()?;
    if birth::child()?.is_none() {
        drop(told);
        let (outcome, pidfd): (Result<i32, String>, Option<OwnedFd>) = match work(tell.as_raw_fd()) {
            Ok(Some(born)) => (Ok(born.pid), Some(born.pidfd)),
            Ok(None) => (Err("its life came back".into()), None),
            Err(error) => (Err(format!("{error:#}")), None),
        };
        let _ = tell.send(&outcome, &pidfd.iter().map(AsFd::as_fd).collect::<Vec<_>>());
        birth::exit_now(0);
    }
    drop(tell);
    match told.receive::<Result<i32, String>>()?.map(|(outcome, mut fds)| (outcome, fds.pop())) {
        Some((Ok(pid), Some(pidfd))) => Ok(Born { pid, pidfd }),
        Some((Err(sentence), _)) => Err(Error::msg(sentence)),
        _ => bail!("the process that makes another has ended"),
    }
}

/// Waits for a report that must come next.
///
/// # Errors
/// What the process says instead.
pub fn expect(line: &Channel, is_it: impl Fn(&Report) -> bool) -> Result<()> {
    match line.receive()?.map(|(report, _)| report) {
        Some(report) if is_it(&report) => Ok(()),
        Some(Report::Failed(sentence)) => Err(Error::msg(sentence)),
        Some(report) => bail!("the process in the box said {report:?} out of turn"),
        None => bail!("the process in the box has ended"),
    }
}
