//! Enters the namespaces of a running container, for one more process in it.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::namespaces::Namespaces;
use crate::privileges;

/// The types of namespace and their files in `/proc/PID/ns`, in the order of entry: the user namespace governs
/// permissions in the others, and the mount namespace hides the host's `/proc`.
const KINDS: [(i32, &str); 8] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWNET, "net"),
    (libc::CLONE_NEWTIME, "time"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (libc::CLONE_NEWNS, "mnt"),
];

/// Entered before the fork: the pid namespace acts on children only, the user namespace comes before all others.
const BEFORE_BIRTH: [i32; 2] = [libc::CLONE_NEWUSER, libc::CLONE_NEWPID];

/// The namespaces of a running container, opened while the caller, still the host's user, may inspect its process.
#[derive(Debug)]
pub struct Inside {
    before_birth: Vec<Open>,
    after_birth: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    flag: i32,
    name: &'static str,
    file: File,
}

impl Inside {
    /// Opens the namespaces, as `namespaces` describes them, that the container does not share with the host, through
    /// its first process `pid`. `pidfd` detects a reuse of that id.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(namespaces: &Namespaces, pid: i32, pidfd: impl AsFd) -> anyhow::Result<Self> {
        let open = |(flag, name): &(i32, &'static str)| {
            let path = format!("/proc/{pid}/ns/{name}");
            let file = File::open(&path).with_context(|| format!("cannot open the namespace {path}"))?;
            anyhow::Ok(Open { flag: *flag, name, file })
        };
        let opened = KINDS.iter().filter(|(flag, _)| namespaces.has(*flag)).map(open);
        let (before_birth, after_birth) = opened
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .partition(|open| BEFORE_BIRTH.contains(&open.flag));
        // Still alive, so its pid was not reused while the files were opened. A pidfd is readable once the process
        // has ended.
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        ensure!(poll(&mut polled, Some(&Timespec::default()))? == 0, "the container's process has ended");
        Ok(Self { before_birth, after_birth })
    }

    /// Whether a midwife must enter some of them before it forks the process.
    pub fn needs_midwife(namespaces: &Namespaces) -> bool {
        namespaces.has(BEFORE_BIRTH[0]) || namespaces.has(BEFORE_BIRTH[1])
    }

    /// Enters those that must be entered before the fork. For the process that forks.
    ///
    /// # Errors
    /// Names the namespace.
    pub fn enter_before_birth(&self) -> anyhow::Result<()> {
        enter(&self.before_birth)
    }

    /// Enters the others, the mount namespace last, and becomes root of its user namespace, if it has one. For the
    /// new process itself.
    ///
    /// # Errors
    /// Names the namespace; also when the user namespace maps no root.
    pub fn enter(&self) -> anyhow::Result<()> {
        enter(&self.after_birth)?;
        let in_user = self.before_birth.iter().any(|open| open.flag == libc::CLONE_NEWUSER);
        if in_user { privileges::become_root() } else { Ok(()) }
    }
}

fn enter(list: &[Open]) -> anyhow::Result<()> {
    for Open { flag, name, file } in list {
        setns(file, CloneFlags::from_bits_retain(*flag))
            .with_context(|| format!("cannot enter the container's {name} namespace"))?;
    }
    Ok(())
}
