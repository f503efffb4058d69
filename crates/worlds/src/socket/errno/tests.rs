//! The numbers of all errors.

use super::*;
use std::collections::BTreeSet;

/// The kernel's errors and preview1's numbers.
const NUMBERS: [(i32, u16); 70] = [
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
    (libc::EILSEQ, 25),
    (libc::EINPROGRESS, 26),
    (libc::EINTR, 27),
    (libc::EINVAL, 28),
    (libc::EISCONN, 30),
    (libc::EISDIR, 31),
    (libc::ELOOP, 32),
    (libc::EMFILE, 33),
    (libc::EMLINK, 34),
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
    (libc::ENOTEMPTY, 55),
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
    (libc::ETXTBSY, 74),
    (libc::EXDEV, 75),
    (libc::EDQUOT, 19),
    (libc::ESTALE, 72),
    (libc::EHOSTDOWN, 23),
    (libc::ENONET, 40),
    (libc::ESOCKTNOSUPPORT, 66),
    (libc::EPFNOSUPPORT, 5),
    (libc::ESHUTDOWN, 64),
    (libc::EIO, 29),
];

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
    for (kernel, number) in NUMBERS {
        assert_eq!(Errno::from(Kernel::from_raw_os_error(kernel)).number(), number, "{kernel}");
    }
    let different: BTreeSet<_> = KERNEL.iter().map(|(kernel, _)| kernel.raw_os_error()).collect();
    assert_eq!(
        (different.len(), NUMBERS.len()),
        (KERNEL.len(), KERNEL.len()),
        "no duplicates, and all of them here"
    );
}

#[test]
fn no_error_of_the_kernel_is_lost() {
    for number in 1..4096 {
        let errno = Errno::from(Kernel::from_raw_os_error(number));
        assert!(errno != Errno::Success && errno.number() <= Errno::NotCapable.number(), "{number}");
    }
}
