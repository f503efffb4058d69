//! WasmEdge's socket ABI on sockets of the kernel, for any engine.
//!
//! [`Sockets`] has one method per function of `wasi_snapshot_preview1`, which takes the guest's
//! [`Memory`](crate::Memory) and the import's arguments in their order; [`getaddrinfo`] looks up names through
//! `network`. A guest's process has one thread and one guest, so a call on a blocking socket blocks in the kernel.
//! Nothing here starts a thread or logs.
//!
//! WasmEdge has two versions of eleven functions. It registers V1 under the plain name and V2 as `NAME_v2`, and links
//! V2 under the plain name if the import has its type; [`named`] does the same.
//!
//! | import | V1 | V2 | here |
//! |---|---|---|---|
//! | `sock_open` | `(af, type, *fd)` | | |
//! | `sock_bind`, `sock_connect` | `(fd, *address, port)` | the same | buffers of 4, 16 and 128 bytes in both |
//! | `sock_listen` | `(fd, backlog)` | the same | |
//! | `sock_accept` | `(fd, *fd)` | `(fd, fdflags, *fd)` | V2 is preview1's own |
//! | `sock_recv` | `(fd, *iovs, n, riflags, *len, *roflags)` | the same | preview1's own |
//! | `sock_recv_from` | `(fd, *iovs, n, *address, riflags, *len, *roflags)` | `(fd, *iovs, n, *address, riflags, *port, *len, *roflags)` | the port in host order |
//! | `sock_send` | `(fd, *iovs, n, siflags, *len)` | the same | preview1's own; no signal |
//! | `sock_send_to` | `(fd, *iovs, n, *address, port, siflags, *len)` | the same | |
//! | `sock_shutdown` | `(fd, sdflags)` | | preview1's own |
//! | `sock_getsockopt` | `(fd, level, name, *value, *size)` | | no BINDTODEVICE |
//! | `sock_setsockopt` | `(fd, level, name, *value, size)` | | |
//! | `sock_getlocaladdr`, `sock_getpeeraddr` | `(fd, *address, *type, *port)` | `(fd, *address, *port)` | the type is 4 or 6 |
//! | `sock_getaddrinfo` | `(*node, len, *service, len, *hints, **res, max, *len)` | | [`getaddrinfo`] |
//! | `poll_oneoff`, `epoll_oneoff` | `(*in, *out, n, *n)` | | level- and edge-triggered; other descriptors through [`Others`] |
//! | `fd_close`, `fd_read`, `fd_write`, `fd_fdstat_get`, `fd_fdstat_set_flags`, `fd_filestat_get`, `fd_prestat_get`, `fd_renumber` | preview1's | | if [`Sockets::contains`] the descriptor |

mod address;
#[cfg(test)]
mod anything;
mod connection;
mod data;
mod errno;
mod files;
#[cfg(test)]
mod guest;
mod imports;
mod lookup;
mod options;
mod poll;
mod segments;
mod table;

pub use errno::Errno;
pub use imports::{Call, HostFn, Import, MODULE, named};
pub use lookup::{Family, Query, getaddrinfo};
pub use poll::{Others, Readiness};
pub use table::{Policy, Sockets};

// Types of sockets, in a guest's numbers.
const DGRAM: u32 = 1;
const STREAM: u32 = 2;
/// `fdflags::nonblock`.
const NONBLOCK: u32 = 4;

/// Checks that `flags` are flags of preview1; `Inval` otherwise.
fn fdflags(flags: u32) -> Result<u32, Errno> {
    if flags < 1 << 5 { Ok(flags) } else { Err(Errno::Inval) }
}
