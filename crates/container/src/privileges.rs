//! Drops privileges step by step, each step while the remaining ones still allow it.

use anyhow::Context;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::{LinuxCapabilities, PosixRlimit, PosixRlimitType, Process, User};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Sets the spec's resource limits. While still root: raising a hard limit needs CAP_SYS_RESOURCE.
///
/// # Errors
/// Names the limit.
pub(crate) fn limit(process: &Process) -> anyhow::Result<()> {
    for limit in process.rlimits().iter().flatten() {
        let (soft, hard) = (limit.soft(), limit.hard());
        setrlimit(resource(limit)?, soft, hard).with_context(|| {
            format!("cannot set the limit {:?} to {soft} (soft) and {hard} (hard)", limit.typ())
        })?;
    }
    Ok(())
}

/// The capabilities that a spec grants a Linux program: none where it names none, as with runc.
pub(crate) fn granted(process: &Process) -> LinuxCapabilities {
    process.capabilities().clone().unwrap_or_else(|| {
        let mut none = LinuxCapabilities::default();
        none.set_bounding(Some([].into()))
            .set_effective(Some([].into()))
            .set_permitted(Some([].into()))
            .set_inheritable(Some([].into()))
            .set_ambient(Some([].into()));
        none
    })
}

/// Becomes the spec's user for good, with no capability left to undo it.
///
/// # Errors
/// Names the step the kernel refused.
pub(crate) fn drop_to(process: &Process) -> anyhow::Result<()> {
    forget_bounding_set()?;
    become_user(process)?;
    forget_capabilities()
}

/// Runs `work` without effective capabilities, so that nothing it opens keeps root's rights.
///
/// # Errors
/// The kernel's error.
pub fn without_power<T>(work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let sets = rustix::thread::capabilities(None).context("cannot read the capabilities")?;
    let powerless = CapabilitySets { effective: CapabilitySet::empty(), ..sets };
    rustix::thread::set_capabilities(None, powerless).context("cannot set the capabilities aside")?;
    let done = work();
    rustix::thread::set_capabilities(None, sets).context("cannot take the capabilities back")?;
    Ok(done)
}

/// Limits the process's private memory and the size of its files, in bytes, and disables core dumps.
///
/// # Errors
/// The kernel's error.
pub(crate) fn bound_memory(max: u64) -> anyhow::Result<()> {
    let limits = [(Resource::RLIMIT_DATA, max), (Resource::RLIMIT_FSIZE, max), (Resource::RLIMIT_CORE, 0)];
    limits
        .into_iter()
        .try_for_each(|(limit, max)| setrlimit(limit, max, max))
        .context("cannot bound the memory of a process")
}

/// Makes the process the first choice of the OOM killer.
///
/// # Errors
/// When `/proc` is not visible.
pub(crate) fn first_to_go() -> anyhow::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "1000").context("cannot offer itself to the OOM killer")
}

/// Becomes `user` and the group of the same number, for good, without supplementary groups and capabilities.
///
/// # Errors
/// Names the step the kernel refused.
pub(crate) fn become_powerless(user: u32) -> anyhow::Result<()> {
    forget_bounding_set()?;
    setgroups(&[]).context("cannot leave the groups")?;
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    setresgid(gid, gid, gid)
        .and_then(|()| setresuid(uid, uid, uid))
        .with_context(|| format!("cannot become user {user}"))?;
    forget_capabilities()
}

fn forget_capabilities() -> anyhow::Result<()> {
    // Last: changing ids needs CAP_SETUID and CAP_SETGID; and a root user keeps all it had until here.
    rustix::thread::clear_ambient_capability_set().context("cannot clear the ambient capabilities")?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
    .context("cannot drop the capabilities")?;
    // Nothing is ever executed from here; if something were, it could gain nothing.
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")
}

/// Becomes root of the caller's user namespace, keeping the capabilities it was created with.
///
/// # Errors
/// When the namespace maps no root.
pub(crate) fn become_root() -> anyhow::Result<()> {
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[])
        .and_then(|()| setresgid(wheel, wheel, wheel))
        .and_then(|()| setresuid(root, root, root))
        .context("cannot become root of the user namespace")
}

/// Takes every capability from the bounding set. First, since it needs CAP_SETPCAP.
fn forget_bounding_set() -> anyhow::Result<()> {
    for number in 0..u64::BITS {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            // The kernel knows no capability of this number, nor any above.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot drop capability {number} from the bounding set"));
            }
        }
    }
    Ok(())
}

/// Supplementary groups before the group, the group before the user: each step needs what the next one drops.
fn become_user(process: &Process) -> anyhow::Result<()> {
    let user = process.user();
    join_groups(user)?;
    let gid = Gid::from_raw(user.gid());
    setresgid(gid, gid, gid).with_context(|| format!("cannot become group {gid}"))?;
    let uid = Uid::from_raw(user.uid());
    setresuid(uid, uid, uid).with_context(|| format!("cannot become user {uid}"))?;
    umask(Mode::from_bits_truncate(user.umask().unwrap_or(0o022)));
    Ok(())
}

/// Replaces all supplementary groups by the spec's additional ones.
///
/// # Errors
/// The kernel's error.
pub(crate) fn join_groups(user: &User) -> anyhow::Result<()> {
    let groups: Vec<Gid> = user.additional_gids().iter().flatten().copied().map(Gid::from_raw).collect();
    setgroups(&groups).context("cannot set the additional groups")
}

fn resource(limit: &PosixRlimit) -> anyhow::Result<Resource> {
    Ok(match limit.typ() {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    })
}
