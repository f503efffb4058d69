//! The guest's error numbers: preview1's 0 to 76, then WasmEdge's for name lookups.

use rustix::io::Errno as Kernel;

use crate::MemoryError;

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
    /// The number for the guest.
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// The kernel's errors for sockets and paths. Those that preview1 has no name for map to the nearest one; any other
/// error is EIO.
const KERNEL: [(Kernel, Errno); 70] = [
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
    (Kernel::ILSEQ, Errno::IlSeq),
    (Kernel::INPROGRESS, Errno::InProgress),
    (Kernel::INTR, Errno::Intr),
    (Kernel::INVAL, Errno::Inval),
    (Kernel::ISCONN, Errno::IsConn),
    (Kernel::ISDIR, Errno::IsDir),
    (Kernel::LOOP, Errno::Loop),
    (Kernel::MFILE, Errno::MFile),
    (Kernel::MLINK, Errno::MLink),
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
    (Kernel::NOTEMPTY, Errno::NotEmpty),
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
    (Kernel::TXTBSY, Errno::TxtBsy),
    (Kernel::XDEV, Errno::XDev),
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

impl From<MemoryError> for Errno {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Outside => Self::Fault,
            MemoryError::Unaligned => Self::AddrNotAvail,
            MemoryError::TooMany | MemoryError::Overlapping => Self::Inval,
        }
    }
}

/// Makes a system call, and repeats it after EINTR.
pub(super) fn kernel<T>(call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    Ok(rustix::io::retry_on_intr(call)?)
}

#[cfg(test)]
mod tests;
