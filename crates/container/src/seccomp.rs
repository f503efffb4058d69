//! What an engine with a guest may ask of the kernel; everything else is refused with EPERM.
//!
//! Compiled to BPF once, in the nursery. Installed when the guest's code is mapped already: from there
//! on nothing becomes executable any more, no process is made and none is replaced.

use std::collections::BTreeMap;

use anyhow::Context;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// The compiled filter of a Wasm box: the programs it consists of, in the order in which they are installed.
#[derive(Clone, Debug)]
pub struct Filter(Vec<BpfProgram>);

/// `_IOWR('f', 16, struct pm_scan_arg)`, see ioctl(2): libc does not name it.
const PAGEMAP_SCAN: i32 = 0xc060_6610_u32.cast_signed();

/// System calls without conditions: files, memory, time, waiting, sockets once made, ending.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files below descriptors that are open, and below the box's root.
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2,
    libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2,
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_close, libc::SYS_close_range, libc::SYS_lseek,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_fstatfs, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_getdents64, libc::SYS_readlinkat, libc::SYS_unlinkat, libc::SYS_mkdirat, libc::SYS_linkat,
    libc::SYS_symlinkat, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_utimensat, libc::SYS_ftruncate, libc::SYS_fallocate,
    libc::SYS_fadvise64, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync_file_range,
    libc::SYS_copy_file_range, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_dup, libc::SYS_dup3, libc::SYS_getcwd,
    // Memory.
    libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk, libc::SYS_membarrier,
    // Time, chance and waiting.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
    libc::SYS_gettimeofday, libc::SYS_getrandom, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2,
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_pipe2, libc::SYS_futex, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime,
    // Sockets; making one is conditional.
    libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_connect, libc::SYS_shutdown,
    libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_setsockopt,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg,
    // Itself.
    libc::SYS_getpid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_restart_syscall, libc::SYS_tgkill, libc::SYS_exit, libc::SYS_exit_group,
    libc::SYS_set_robust_list, libc::SYS_rseq,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// What a process that only compiles has no use for: it reports by sendmsg.
#[rustfmt::skip]
const SOCKETS: &[c_long] = &[
    libc::SYS_socket, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_connect,
    libc::SYS_shutdown, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_setsockopt,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg,
];

/// What compilers ask for beyond that: LLVM's, below WasmEdge, works with files, by the older names of those calls,
/// and looks at its limits.
#[rustfmt::skip]
const COMPILERS: &[c_long] = &[
    libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_statfs, libc::SYS_umask, libc::SYS_uname, libc::SYS_sysinfo,
    libc::SYS_getrusage, libc::SYS_prlimit64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
];

/// What some worlds need beyond what every guest's process may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Sockets with paths.
    UnixSockets,
    /// Further threads, and still no process.
    Threads,
}

impl Filter {
    /// Compiles the filter of a guest whose process has one thread for ever, unless `needs` say otherwise.
    ///
    /// # Errors
    /// On an architecture without a seccomp back-end.
    pub fn compile(needs: &[Need]) -> anyhow::Result<Self> {
        let mut rules = rules()?;
        let mut programs = Vec::new();
        for need in needs {
            match need {
                Need::UnixSockets => {
                    let rule = SeccompRule::new(vec![equals(0, libc::AF_UNIX)?])?;
                    rules.entry(libc::SYS_socket).or_default().push(rule);
                }
                Need::Threads => {
                    allow_threads(&mut rules)?;
                    programs.push(no_clone3()?);
                }
            }
        }
        programs.push(allow_only(rules)?);
        Ok(Self(programs))
    }

    /// Compiles the filter of a process that compiles what an image holds: threads, and files below the root, which
    /// is an empty folder there. Of sockets it may write to the one it has.
    ///
    /// # Errors
    /// See [`Filter::compile`].
    pub(crate) fn of_compiler() -> anyhow::Result<Self> {
        let mut rules = rules()?;
        rules.retain(|call, _| !SOCKETS.contains(call));
        rules.extend(COMPILERS.iter().map(|call| (*call, vec![])));
        allow_threads(&mut rules)?;
        Ok(Self(vec![no_clone3()?, allow_only(rules)?]))
    }

    /// Narrows the process to the filter, for good.
    ///
    /// # Errors
    /// When the kernel has no seccomp.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let mut programs = self.0.iter();
        programs.try_for_each(|program| {
            seccompiler::apply_filter(program).context("cannot install the seccomp filter")
        })
    }
}

fn allow_threads(rules: &mut BTreeMap<c_long, Vec<SeccompRule>>) -> anyhow::Result<()> {
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let is_thread =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is_thread])?]);
    rules.insert(libc::SYS_clone3, vec![]);
    // Which pages of its own a guest has written to, asked of /proc/self/pagemap, which is open already.
    rules.entry(libc::SYS_ioctl).or_default().push(SeccompRule::new(vec![equals(1, PAGEMAP_SCAN)?])?);
    Ok(())
}

/// A filter cannot look at what clone3 is given. Told that there is no such call, libc uses clone: of two programs'
/// answers the stronger counts.
fn no_clone3() -> anyhow::Result<BpfProgram> {
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    Ok(BpfProgram::try_from(SeccompFilter::new(clone3, SeccompAction::Allow, absent, arch()?)?)?)
}

fn allow_only(rules: BTreeMap<c_long, Vec<SeccompRule>>) -> anyhow::Result<BpfProgram> {
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch()?)?;
    Ok(BpfProgram::try_from(filter)?)
}

fn rules() -> anyhow::Result<BTreeMap<c_long, Vec<SeccompRule>>> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, vec![])).collect();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let rule = SeccompRule::new(vec![equals(0, family)?])?;
        rules.entry(libc::SYS_socket).or_default().push(rule);
    }
    for request in [libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ] {
        let rule = SeccompRule::new(vec![equals(1, i32::try_from(request)?)?])?;
        rules.entry(libc::SYS_ioctl).or_default().push(rule);
    }
    // How many files it may open: its own limits are read, and nobody's are set.
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?;
    let sets_none = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![own, sets_none])?]);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![without_exec()?])?]);
    }
    Ok(rules)
}

fn equals(argument: u8, value: i32) -> anyhow::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

/// The protection (third argument of mmap and mprotect) lacks PROT_EXEC.
fn without_exec() -> anyhow::Result<SeccompCondition> {
    let exec = u64::from(libc::PROT_EXEC.cast_unsigned());
    Ok(SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), 0)?)
}

fn arch() -> anyhow::Result<TargetArch> {
    TargetArch::try_from(std::env::consts::ARCH).context("no seccomp filter for this architecture")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_for_this_machine() {
        assert_eq!(Filter::compile(&[]).unwrap().0.len(), 1);
        assert_eq!(Filter::compile(&[Need::UnixSockets]).unwrap().0.len(), 1);
        assert_eq!(Filter::compile(&[Need::Threads, Need::UnixSockets]).unwrap().0.len(), 2);
        assert_eq!(Filter::of_compiler().unwrap().0.len(), 2);
    }

    /// What would let a guest's process become or make another one, or change the kernel's mind.
    #[test]
    fn what_must_never_be_asked_is_not_allowed() {
        let rules = rules().unwrap();
        let never = [libc::SYS_execve, libc::SYS_clone, libc::SYS_clone3, libc::SYS_ptrace, libc::SYS_mount];
        let never =
            never.into_iter().chain([libc::SYS_seccomp, libc::SYS_prctl, libc::SYS_setuid, libc::SYS_bpf]);
        never.for_each(|call| assert!(!rules.contains_key(&call), "{call}"));
    }
}
