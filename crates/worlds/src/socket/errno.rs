//! What went wrong, in the numbers that a guest knows: preview1's 0 to 76, then WasmEdge's for name lookups.

use rustix::io::Errno as Kernel;

/// An error number of the guest's. The names are POSIX's; those that begin with `Ai` are getaddrinfo's.
#[expect(missing_docs, reason = "each name is its own document")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Errno {
    Success = 0,
    TooBig = 1,
    Acces = 2,
    AddrInUse = 3,
    AddrNotAvail = 4,
    AfNoSupport = 5,
    Again = 6,
    Already = 7,
    BadF = 8,
    BadMsg = 9,
    Busy = 10,
    Canceled = 11,
    Child = 12,
    ConnAborted = 13,
    ConnRefused = 14,
    ConnReset = 15,
    DeadLk = 16,
    DestAddrReq = 17,
    Dom = 18,
    DQuot = 19,
    Exist = 20,
    Fault = 21,
    FBig = 22,
    HostUnreach = 23,
    IdRm = 24,
    IlSeq = 25,
    InProgress = 26,
    Intr = 27,
    Inval = 28,
    Io = 29,
    IsConn = 30,
    IsDir = 31,
    Loop = 32,
    MFile = 33,
    MLink = 34,
    MsgSize = 35,
    Multihop = 36,
    NameTooLong = 37,
    NetDown = 38,
    NetReset = 39,
    NetUnreach = 40,
    NFile = 41,
    NoBufs = 42,
    NoDev = 43,
    NoEnt = 44,
    NoExec = 45,
    NoLck = 46,
    NoLink = 47,
    NoMem = 48,
    NoMsg = 49,
    NoProtoOpt = 50,
    NoSpc = 51,
    NoSys = 52,
    NotConn = 53,
    NotDir = 54,
    NotEmpty = 55,
    NotRecoverable = 56,
    NotSock = 57,
    NotSup = 58,
    NoTty = 59,
    NxIo = 60,
    Overflow = 61,
    OwnerDead = 62,
    Perm = 63,
    Pipe = 64,
    Proto = 65,
    ProtoNoSupport = 66,
    Prototype = 67,
    Range = 68,
    RoFs = 69,
    SPipe = 70,
    Srch = 71,
    Stale = 72,
    TimedOut = 73,
    TxtBsy = 74,
    XDev = 75,
    NotCapable = 76,
    AiAddrFamily = 77,
    AiAgain = 78,
    AiBadFlag = 79,
    AiFail = 80,
    AiFamily = 81,
    AiMemory = 82,
    AiNoData = 83,
    AiNoName = 84,
    AiService = 85,
    AiSockType = 86,
    AiSystem = 87,
}

impl Errno {
    /// What the guest is given.
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// The kernel's errors that sockets and their paths can end with. Two that preview1 has no name for have the nearest;
/// what is left is an input/output error.
const KERNEL: [(Kernel, Errno); 65] = [
    (Kernel::TOOBIG, Errno::TooBig),
    (Kernel::ACCESS, Errno::Acces),
    (Kernel::ADDRINUSE, Errno::AddrInUse),
    (Kernel::ADDRNOTAVAIL, Errno::AddrNotAvail),
    (Kernel::AFNOSUPPORT, Errno::AfNoSupport),
    (Kernel::AGAIN, Errno::Again),
    (Kernel::ALREADY, Errno::Already),
    (Kernel::BADF, Errno::BadF),
    (Kernel::BADMSG, Errno::BadMsg),
    (Kernel::BUSY, Errno::Busy),
    (Kernel::CANCELED, Errno::Canceled),
    (Kernel::CONNABORTED, Errno::ConnAborted),
    (Kernel::CONNREFUSED, Errno::ConnRefused),
    (Kernel::CONNRESET, Errno::ConnReset),
    (Kernel::DESTADDRREQ, Errno::DestAddrReq),
    (Kernel::DOM, Errno::Dom),
    (Kernel::EXIST, Errno::Exist),
    (Kernel::FAULT, Errno::Fault),
    (Kernel::FBIG, Errno::FBig),
    (Kernel::HOSTUNREACH, Errno::HostUnreach),
    (Kernel::INPROGRESS, Errno::InProgress),
    (Kernel::INTR, Errno::Intr),
    (Kernel::INVAL, Errno::Inval),
    (Kernel::ISCONN, Errno::IsConn),
    (Kernel::ISDIR, Errno::IsDir),
    (Kernel::LOOP, Errno::Loop),
    (Kernel::MFILE, Errno::MFile),
    (Kernel::MSGSIZE, Errno::MsgSize),
    (Kernel::NAMETOOLONG, Errno::NameTooLong),
    (Kernel::NETDOWN, Errno::NetDown),
    (Kernel::NETRESET, Errno::NetReset),
    (Kernel::NETUNREACH, Errno::NetUnreach),
    (Kernel::NFILE, Errno::NFile),
    (Kernel::NOBUFS, Errno::NoBufs),
    (Kernel::NODEV, Errno::NoDev),
    (Kernel::NOENT, Errno::NoEnt),
    (Kernel::NOMEM, Errno::NoMem),
    (Kernel::NOPROTOOPT, Errno::NoProtoOpt),
    (Kernel::NOSPC, Errno::NoSpc),
    (Kernel::NOSYS, Errno::NoSys),
    (Kernel::NOTCONN, Errno::NotConn),
    (Kernel::NOTDIR, Errno::NotDir),
    (Kernel::NOTSOCK, Errno::NotSock),
    (Kernel::OPNOTSUPP, Errno::NotSup),
    (Kernel::NOTTY, Errno::NoTty),
    (Kernel::NXIO, Errno::NxIo),
    (Kernel::OVERFLOW, Errno::Overflow),
    (Kernel::PERM, Errno::Perm),
    (Kernel::PIPE, Errno::Pipe),
    (Kernel::PROTO, Errno::Proto),
    (Kernel::PROTONOSUPPORT, Errno::ProtoNoSupport),
    (Kernel::PROTOTYPE, Errno::Prototype),
    (Kernel::RANGE, Errno::Range),
    (Kernel::ROFS, Errno::RoFs),
    (Kernel::SPIPE, Errno::SPipe),
    (Kernel::SRCH, Errno::Srch),
    (Kernel::TIMEDOUT, Errno::TimedOut),
    (Kernel::DQUOT, Errno::DQuot),
    (Kernel::STALE, Errno::Stale),
    (Kernel::HOSTDOWN, Errno::HostUnreach),
    (Kernel::NONET, Errno::NetUnreach),
    (Kernel::SOCKTNOSUPPORT, Errno::ProtoNoSupport),
    (Kernel::PFNOSUPPORT, Errno::AfNoSupport),
    (Kernel::SHUTDOWN, Errno::Pipe),
    (Kernel::IO, Errno::Io),
];

impl From<Kernel> for Errno {
    fn from(error: Kernel) -> Self {
        KERNEL.iter().find(|(kernel, _)| *kernel == error).map_or(Self::Io, |(_, ours)| *ours)
    }
}

/// A system call, repeated while signals interrupt it.
pub(super) fn kernel<T>(call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    Ok(rustix::io::retry_on_intr(call)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_those_of_preview1_and_of_wasmedge() {
        let some = [
            (Errno::Success, 0),
            (Errno::Acces, 2),
            (Errno::AddrNotAvail, 4),
            (Errno::Again, 6),
            (Errno::BadF, 8),
            (Errno::Exist, 20),
            (Errno::Fault, 21),
            (Errno::InProgress, 26),
            (Errno::Inval, 28),
            (Errno::NoSys, 52),
            (Errno::NotSup, 58),
            (Errno::NotCapable, 76),
            (Errno::AiAddrFamily, 77),
            (Errno::AiNoName, 84),
            (Errno::AiSystem, 87),
        ];
        for (errno, number) in some {
            assert_eq!(errno.number(), number, "{errno:?}");
        }
    }

    #[test]
    fn every_error_of_the_kernel_has_its_number() {
        let all = [
            (libc::E2BIG, 1),
            (libc::EACCES, 2),
            (libc::EADDRINUSE, 3),
            (libc::EADDRNOTAVAIL, 4),
            (libc::EAFNOSUPPORT, 5),
            (libc::EAGAIN, 6),
            (libc::EALREADY, 7),
            (libc::EBADF, 8),
            (libc::EBADMSG, 9),
            (libc::EBUSY, 10),
            (libc::ECANCELED, 11),
            (libc::ECONNABORTED, 13),
            (libc::ECONNREFUSED, 14),
            (libc::ECONNRESET, 15),
            (libc::EDESTADDRREQ, 17),
            (libc::EDOM, 18),
            (libc::EEXIST, 20),
            (libc::EFAULT, 21),
            (libc::EFBIG, 22),
            (libc::EHOSTUNREACH, 23),
            (libc::EINPROGRESS, 26),
            (libc::EINTR, 27),
            (libc::EINVAL, 28),
            (libc::EISCONN, 30),
            (libc::EISDIR, 31),
            (libc::ELOOP, 32),
            (libc::EMFILE, 33),
            (libc::EMSGSIZE, 35),
            (libc::ENAMETOOLONG, 37),
            (libc::ENETDOWN, 38),
            (libc::ENETRESET, 39),
            (libc::ENETUNREACH, 40),
            (libc::ENFILE, 41),
            (libc::ENOBUFS, 42),
            (libc::ENODEV, 43),
            (libc::ENOENT, 44),
            (libc::ENOMEM, 48),
            (libc::ENOPROTOOPT, 50),
            (libc::ENOSPC, 51),
            (libc::ENOSYS, 52),
            (libc::ENOTCONN, 53),
            (libc::ENOTDIR, 54),
            (libc::ENOTSOCK, 57),
            (libc::EOPNOTSUPP, 58),
            (libc::ENOTTY, 59),
            (libc::ENXIO, 60),
            (libc::EOVERFLOW, 61),
            (libc::EPERM, 63),
            (libc::EPIPE, 64),
            (libc::EPROTO, 65),
            (libc::EPROTONOSUPPORT, 66),
            (libc::EPROTOTYPE, 67),
            (libc::ERANGE, 68),
            (libc::EROFS, 69),
            (libc::ESPIPE, 70),
            (libc::ESRCH, 71),
            (libc::ETIMEDOUT, 73),
            (libc::EDQUOT, 19),
            (libc::ESTALE, 72),
            (libc::EHOSTDOWN, 23),
            (libc::ENONET, 40),
            (libc::ESOCKTNOSUPPORT, 66),
            (libc::EPFNOSUPPORT, 5),
            (libc::ESHUTDOWN, 64),
            (libc::EIO, 29),
        ];
        for (kernel, number) in all {
            assert_eq!(Errno::from(Kernel::from_raw_os_error(kernel)).number(), number, "{kernel}");
        }
        let different: BTreeSet<_> = KERNEL.iter().map(|(kernel, _)| kernel.raw_os_error()).collect();
        assert_eq!(
            (different.len(), all.len()),
            (KERNEL.len(), KERNEL.len()),
            "none twice, all of them here"
        );
    }

    #[test]
    fn no_error_of_the_kernel_is_lost() {
        for number in 1..4096 {
            let errno = Errno::from(Kernel::from_raw_os_error(number));
            assert!(errno != Errno::Success && errno.number() <= Errno::NotCapable.number(), "{number}");
        }
    }
}
