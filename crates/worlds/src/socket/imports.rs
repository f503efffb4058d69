//! The ABI as a table: each function with its number of parameters, all of them i32.

use super::{Errno, Sockets};
use crate::Memory;

/// The module that they are all imported from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// A function of the ABI.
#[derive(Debug)]
pub struct Import {
    /// The import's name.
    pub name: &'static str,
    /// How many i32 parameters it takes; it returns one i32, an [`Errno`].
    pub parameters: usize,
    /// Its implementation.
    pub call: Call,
}

/// The implementation of a function.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// Opens a socket.
    Open(HostFn),
    /// Takes the descriptor of a socket as its first argument.
    OnSocket(HostFn),
    /// [`getaddrinfo`](super::getaddrinfo), which is async.
    LookUp,
    /// [`Sockets::poll_oneoff`], edge-triggered or not.
    Poll {
        /// As `EPOLLET`.
        edge: bool,
    },
}

/// A host function: takes the guest's memory and as many arguments as the import has parameters.
pub type HostFn = fn(&mut Sockets, &mut Memory<'_>, &[u32]) -> Result<(), Errno>;

/// The import `name` with this number of parameters, or else the first one of that name in the table.
pub fn named(name: &str, parameters: usize) -> Option<&'static Import> {
    let all = || IMPORTS.iter().filter(|import| import.name == name);
    all().find(|import| import.parameters == parameters).or_else(|| all().next())
}

const fn import(name: &'static str, parameters: usize, call: Call) -> Import {
    Import { name, parameters, call }
}

/// A row of the table: the function's name, and the method of [`Sockets`] with its arguments.
macro_rules! row {
    ($kind:ident $name:literal $method:ident($($argument:ident),*)) => {
        import($name, [$(stringify!($argument)),*].len(), Call::$kind(|sockets, memory, arguments| match *arguments {
            [$($argument),*] => sockets.$method(memory, $($argument),*),
            _ => Err(Errno::Inval),
        }))
    };
}

/// All functions; of two versions under one name, the default comes first.
static IMPORTS: [Import; 32] = [
    row!(Open "sock_open" open(family, kind, fd)),
    row!(Open "sock_open_v2" open(family, kind, fd)),
    row!(OnSocket "sock_bind" bind(fd, address, port)),
    row!(OnSocket "sock_bind_v2" bind(fd, address, port)),
    row!(OnSocket "sock_listen" listen(fd, backlog)),
    row!(OnSocket "sock_listen_v2" listen(fd, backlog)),
    row!(OnSocket "sock_accept" accept_v2(fd, flags, accepted)),
    row!(OnSocket "sock_accept" accept_v1(fd, accepted)),
    row!(OnSocket "sock_accept_v2" accept_v2(fd, flags, accepted)),
    row!(OnSocket "sock_connect" connect(fd, address, port)),
    row!(OnSocket "sock_connect_v2" connect(fd, address, port)),
    row!(OnSocket "sock_recv" recv(fd, iovs, count, flags, length, out_flags)),
    row!(OnSocket "sock_recv_v2" recv(fd, iovs, count, flags, length, out_flags)),
    row!(OnSocket "sock_recv_from" recv_from_v1(fd, iovs, count, address, flags, length, out_flags)),
    row!(OnSocket "sock_recv_from" recv_from_v2(fd, iovs, count, address, flags, port, length, out_flags)),
    row!(OnSocket "sock_recv_from_v2" recv_from_v2(fd, iovs, count, address, flags, port, length, out_flags)),
    row!(OnSocket "sock_send" send(fd, iovs, count, flags, length)),
    row!(OnSocket "sock_send_v2" send(fd, iovs, count, flags, length)),
    row!(OnSocket "sock_send_to" send_to(fd, iovs, count, address, port, flags, length)),
    row!(OnSocket "sock_send_to_v2" send_to(fd, iovs, count, address, port, flags, length)),
    row!(OnSocket "sock_shutdown" shutdown(fd, how)),
    row!(OnSocket "sock_getsockopt" getsockopt(fd, level, name, value, size)),
    row!(OnSocket "sock_setsockopt" setsockopt(fd, level, name, value, size)),
    row!(OnSocket "sock_getlocaladdr" getlocaladdr_v1(fd, address, kind, port)),
    row!(OnSocket "sock_getlocaladdr" getlocaladdr_v2(fd, address, port)),
    row!(OnSocket "sock_getlocaladdr_v2" getlocaladdr_v2(fd, address, port)),
    row!(OnSocket "sock_getpeeraddr" getpeeraddr_v1(fd, address, kind, port)),
    row!(OnSocket "sock_getpeeraddr" getpeeraddr_v2(fd, address, port)),
    row!(OnSocket "sock_getpeeraddr_v2" getpeeraddr_v2(fd, address, port)),
    import("sock_getaddrinfo", 8, Call::LookUp),
    import("poll_oneoff", 4, Call::Poll { edge: false }),
    import("epoll_oneoff", 4, Call::Poll { edge: true }),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `workload` detects exactly these imports.
    #[test]
    fn the_table_has_all_functions_beyond_preview1() {
        let preview1 = ["poll_oneoff", "sock_accept", "sock_recv", "sock_send", "sock_shutdown"];
        let mut names: Vec<_> =
            IMPORTS.iter().map(|import| import.name).filter(|name| !preview1.contains(name)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, workload::SOCKETS);
    }

    #[test]
    fn the_number_of_parameters_selects_the_version() {
        let check = |name: &str, parameters, found: Option<usize>| {
            assert_eq!(named(name, parameters).map(|import| import.parameters), found, "{name}");
        };
        check("sock_accept", 2, Some(2));
        check("sock_accept", 3, Some(3));
        check("sock_accept", 7, Some(3));
        check("sock_recv_from", 8, Some(8));
        check("sock_recv_from", 0, Some(7));
        check("sock_getpeeraddr_v2", 3, Some(3));
        check("fd_read", 4, None);
    }
}
