//! The seccomp filter of a guest's process: an allow-list. Any other call fails with EPERM.
//!
//! Compiled to BPF once, in the nursery. Installed when the guest's code is mapped already: from then on nothing
//! becomes executable, and no process is created or replaced.

use std::collections::BTreeMap;

use anyhow::Context;
use libc::c_long;
use nix::unistd::getpid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use workload::Need;

/// A compiled filter of a Wasm box: its programs, in the order of installation. It fits any process that installs it:
/// [`ITSELF`] stands for the pid of that process.
#[derive(Clone, Debug)]
pub struct Filter(Vec<BpfProgram>);

/// Placeholder in a compiled filter for the pid of the process that will install it. No process has this pid
/// (`PID_MAX_LIMIT` is 2²²), and no other number in a filter is the same.
const ITSELF: i32 = 0x7e57_ab1e;

/// `_IOWR('f', 16, struct pm_scan_arg)`, see ioctl(2): libc does not name it.
const PAGEMAP_SCAN: i32 = 0xc060_6610_u32.cast_signed();

/// Commands of fcntl(2) that libc does not name. Like `F_SETOWN`, they control the signals that the kernel sends.
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// System calls by their names in libc, each with its number.
macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// Calls allowed with any arguments: files, memory, time, waiting, sockets once created, exit.
const ALLOWED: &[(&str, c_long)] = calls![
    // Files below descriptors that are open, and below the box's root.
    SYS_read SYS_readv SYS_pread64 SYS_preadv SYS_preadv2
    SYS_write SYS_writev SYS_pwrite64 SYS_pwritev SYS_pwritev2
    SYS_openat SYS_openat2 SYS_close SYS_close_range SYS_lseek
    SYS_fstat SYS_newfstatat SYS_statx SYS_fstatfs SYS_faccessat SYS_faccessat2
    SYS_getdents64 SYS_readlinkat SYS_unlinkat SYS_mkdirat SYS_linkat
    SYS_symlinkat SYS_renameat SYS_renameat2 SYS_utimensat SYS_ftruncate SYS_fallocate
    SYS_fadvise64 SYS_fsync SYS_fdatasync SYS_sync_file_range
    SYS_copy_file_range SYS_flock SYS_dup SYS_dup3 SYS_getcwd
    // Memory.
    SYS_munmap SYS_mremap SYS_madvise SYS_brk SYS_membarrier
    // Time, chance and waiting.
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep
    SYS_gettimeofday SYS_getrandom SYS_sched_yield SYS_sched_getaffinity
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2
    SYS_ppoll SYS_pselect6 SYS_pipe2 SYS_futex SYS_timerfd_create
    SYS_timerfd_settime SYS_timerfd_gettime
    // Sockets; making one is conditional.
    SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect SYS_shutdown
    SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt
    SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg
    // Itself.
    SYS_getpid SYS_gettid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack
    SYS_restart_syscall SYS_exit SYS_exit_group
    SYS_set_robust_list SYS_rseq
];
/// Those that only x86-64 has.
#[cfg(target_arch = "x86_64")]
const ALSO: &[(&str, c_long)] = calls![SYS_epoll_wait SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const ALSO: &[(&str, c_long)] = &[];
/// Calls allowed with some arguments only, or in some filters only.
const IN_PART: &[(&str, c_long)] = calls![SYS_clone SYS_clone3 SYS_fcntl SYS_ioctl SYS_mmap SYS_mprotect SYS_prlimit64 SYS_socket SYS_tgkill];

/// Whether any guest's filter allows the system call `name`, if only in part.
pub(crate) fn knows(name: &str) -> bool {
    let of_libc = |(known, _): &(&str, c_long)| known.strip_prefix("SYS_") == Some(name);
    [ALLOWED, ALSO, IN_PART].iter().any(|calls| calls.iter().any(of_libc))
}

/// Socket calls that a compiler does not need: it reports by sendmsg.
#[rustfmt::skip]
const SOCKETS: &[c_long] = &[
    libc::SYS_socket, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_connect,
    libc::SYS_shutdown, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_setsockopt,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg,
];

/// Further calls of compilers: LLVM, under WasmEdge, works with files, by the older names of those calls, and reads
/// its limits.
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

impl Filter {
    /// Compiles the filter of a guest; its process has one thread unless `needs` contains [`Need::Threads`].
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

    /// Compiles the filter of a process that compiles an image's code: threads, and files below the root, which is an
    /// empty directory there. Of sockets, it may only write to the one it has.
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

    /// Binds the filter to the calling process.
    pub(crate) fn bound(&self) -> BoundFilter {
        self.bound_to(getpid().as_raw())
    }

    fn bound_to(&self, pid: i32) -> BoundFilter {
        let mut programs = self.0.clone();
        for instruction in programs.iter_mut().flatten().filter(|is| is.k == ITSELF.cast_unsigned()) {
            instruction.k = pid.cast_unsigned();
        }
        BoundFilter(programs)
    }
}

/// A filter bound to one process.
#[derive(Debug)]
pub(crate) struct BoundFilter(Vec<BpfProgram>);

impl BoundFilter {
    /// Installs the filter, for good, by seccomp(2) and prctl(2) alone.
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
    // Which of its own pages a guest has written to; /proc/self/pagemap is open already.
    rules.entry(libc::SYS_ioctl).or_default().push(SeccompRule::new(vec![equals(1, PAGEMAP_SCAN)?])?);
    Ok(())
}

/// A filter cannot inspect the arguments of clone3. At ENOSYS, libc falls back to clone: of two programs' verdicts
/// the stricter one applies.
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
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        [ALLOWED, ALSO].concat().into_iter().map(|(_, call)| (call, vec![])).collect();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let rule = SeccompRule::new(vec![equals(0, family)?])?;
        rules.entry(libc::SYS_socket).or_default().push(rule);
    }
    for request in [libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ] {
        let rule = SeccompRule::new(vec![equals(1, i32::try_from(request)?)?])?;
        rules.entry(libc::SYS_ioctl).or_default().push(rule);
    }
    // For its own limit of open files: it reads its own limits and sets none.
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?;
    let sets_none = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![own, sets_none])?]);
    // A process that aborts kills itself; in a shared pid namespace it would reach its neighbours.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![equals(0, ITSELF)?])?]);
    rules.insert(
        libc::SYS_fcntl,
        vec![SeccompRule::new(vec![
            differs(1, libc::F_SETOWN)?,
            differs(1, F_SETOWN_EX)?,
            differs(1, F_SETSIG)?,
        ])?],
    );
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![without_exec()?])?]);
    }
    Ok(rules)
}

fn equals(argument: u8, value: i32) -> anyhow::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

fn differs(argument: u8, value: i32) -> anyhow::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)?)
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

    #[test]
    fn every_call_that_is_allowed_is_known_by_its_name() {
        let mut rules = rules().unwrap();
        allow_threads(&mut rules).unwrap();
        let named: Vec<_> = [ALLOWED, ALSO, IN_PART].concat().into_iter().map(|(_, call)| call).collect();
        rules.keys().for_each(|call| assert!(named.contains(call), "{call}"));
        assert_eq!(named.len(), rules.len());
        assert!(knows("read") && knows("tgkill") && !knows("ptrace"));
    }

    /// A bound filter has the process's id where a signal may go, once, and no placeholder.
    #[test]
    fn only_the_process_itself_is_signalled() {
        let filter = Filter::compile(&[Need::Threads]).unwrap();
        let with = |programs: &[BpfProgram], number: i32| {
            programs.iter().flatten().filter(|is| is.k == number.cast_unsigned()).count()
        };
        assert_eq!(with(&filter.0, ITSELF), 1);
        let BoundFilter(bound) = filter.bound_to(4_000_001);
        assert_eq!((with(&bound, ITSELF), with(&bound, 4_000_001)), (0, 1));
    }

    /// Enforced by the kernel, in a thread that ends with the test. Signal 0 only checks permissions.
    #[test]
    fn a_signal_reaches_no_other_process() {
        let tgkill = |pid: libc::pid_t, tid: libc::pid_t| {
            #[expect(unsafe_code, reason = "no wrapper of tgkill has a process and no signal")]
            // SAFETY: takes integers only; signal 0 asks whether one could be sent.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
            if sent == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
        };
        let owned = |command: libc::c_int| {
            #[expect(unsafe_code, reason = "no wrapper of fcntl knows this command")]
            // SAFETY: takes integers only.
            let set = unsafe { libc::fcntl(0, command, 1) };
            if set == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
        };
        let (parent, own) = (nix::unistd::getppid().as_raw(), getpid().as_raw());
        let asked = std::thread::spawn(move || {
            Filter::compile(&[Need::Threads]).unwrap().bound().install().unwrap();
            let tid = nix::unistd::gettid().as_raw();
            let may_be_sent = [tgkill(own, tid), tgkill(parent, parent), tgkill(1, 1)];
            (may_be_sent, [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX].map(owned), owned(libc::F_GETFD))
        });
        let (sent, refused, other) = asked.join().unwrap();
        assert_eq!(sent, [0, libc::EPERM, libc::EPERM]);
        assert_eq!((refused, other), ([libc::EPERM; 3], 0));
    }

    /// Calls that would create or replace a process, or change its filters or privileges.
    #[test]
    fn what_must_never_be_asked_is_not_allowed() {
        let rules = rules().unwrap();
        let never = [libc::SYS_execve, libc::SYS_clone, libc::SYS_clone3, libc::SYS_ptrace, libc::SYS_mount];
        let never =
            never.into_iter().chain([libc::SYS_seccomp, libc::SYS_prctl, libc::SYS_setuid, libc::SYS_bpf]);
        never.for_each(|call| assert!(!rules.contains_key(&call), "{call}"));
    }
}
