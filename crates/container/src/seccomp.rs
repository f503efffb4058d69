//! What an engine with a guest may ask of the kernel; everything else is refused with EPERM.
//!
//! Two filters, compiled to BPF once, in the nursery: one before the guest is loaded, one after, from
//! where on nothing becomes executable any more and no further filter can be read or changed.

use anyhow::Context;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// The compiled filters of a Wasm box.
#[derive(Clone, Debug)]
pub struct Filters {
    loading: BpfProgram,
    running: BpfProgram,
}

/// System calls without conditions: files, memory, time, waiting, sockets once made, ending.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files below descriptors that are open, and below the box's root.
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2,
    libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_pwritev2,
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_close, libc::SYS_close_range, libc::SYS_lseek,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_fstatfs, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_getdents64, libc::SYS_readlinkat, libc::SYS_unlinkat, libc::SYS_mkdirat, libc::SYS_linkat,
    libc::SYS_symlinkat, libc::SYS_renameat2, libc::SYS_utimensat, libc::SYS_ftruncate, libc::SYS_fallocate,
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
    libc::SYS_bind, libc::SYS_listen, libc::SYS_accept4, libc::SYS_connect, libc::SYS_shutdown,
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
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

impl Filters {
    /// Compiles both filters.
    ///
    /// # Errors
    /// On an architecture without a seccomp back-end.
    pub fn compile() -> anyhow::Result<Self> {
        Ok(Self { loading: program(true)?, running: program(false)? })
    }

    /// Narrows the process to what loading a guest takes.
    ///
    /// # Errors
    /// When the kernel has no seccomp.
    pub(crate) fn before_loading(&self) -> anyhow::Result<()> {
        seccompiler::apply_filter(&self.loading).context("cannot install the seccomp filter")
    }

    /// Narrows the process further to what a running guest takes.
    ///
    /// # Errors
    /// See [`Filters::before_loading`].
    pub(crate) fn before_running(&self) -> anyhow::Result<()> {
        seccompiler::apply_filter(&self.running).context("cannot tighten the seccomp filter")
    }
}

fn program(loading: bool) -> anyhow::Result<BpfProgram> {
    let mut rules: Vec<(c_long, Vec<SeccompRule>)> = ALLOWED.iter().map(|call| (*call, vec![])).collect();
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
        let rule = SeccompRule::new(vec![equals(0, family)?])?;
        match rules.iter_mut().find(|(call, _)| *call == libc::SYS_socket) {
            Some((_, families)) => families.push(rule),
            None => rules.push((libc::SYS_socket, vec![rule])),
        }
    }
    for request in [libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ] {
        // The request is an unsigned int to the kernel; its upper half is not looked at.
        let rule = SeccompRule::new(vec![equals(1, i32::try_from(request)?)?])?;
        match rules.iter_mut().find(|(call, _)| *call == libc::SYS_ioctl) {
            Some((_, requests)) => requests.push(rule),
            None => rules.push((libc::SYS_ioctl, vec![rule])),
        }
    }
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let unless_code = vec![SeccompRule::new(vec![without_exec()?])?];
        rules.push((call, if loading { vec![] } else { unless_code }));
    }
    if loading {
        rules.extend([libc::SYS_seccomp, libc::SYS_prctl].map(|call| (call, vec![])));
    }
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules.into_iter().collect(), refuse, SeccompAction::Allow, arch()?)?;
    Ok(BpfProgram::try_from(filter)?)
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
    fn both_filters_compile_and_the_second_is_not_the_first() {
        let filters = Filters::compile().unwrap();
        assert!(!filters.loading.is_empty());
        assert_ne!(filters.loading, filters.running);
    }
}
