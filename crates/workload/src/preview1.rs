//! The imports of WASI preview 1 modules.

/// Module name of WASI preview 1's functions.
const MODULE: &str = "wasi_snapshot_preview1";

/// Every function of `wasi_snapshot_preview1`, from its witx definition.
const FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Functions of the same module that only WasmEdge has: its sockets. Implemented by `worlds::socket`.
pub const SOCKETS: [&str; 23] = [
    "epoll_oneoff",
    "sock_accept_v2",
    "sock_bind",
    "sock_bind_v2",
    "sock_connect",
    "sock_connect_v2",
    "sock_getaddrinfo",
    "sock_getlocaladdr",
    "sock_getlocaladdr_v2",
    "sock_getpeeraddr",
    "sock_getpeeraddr_v2",
    "sock_getsockopt",
    "sock_listen",
    "sock_listen_v2",
    "sock_open",
    "sock_open_v2",
    "sock_recv_from",
    "sock_recv_from_v2",
    "sock_recv_v2",
    "sock_send_to",
    "sock_send_to_v2",
    "sock_send_v2",
    "sock_setsockopt",
];

/// Whether WasmEdge offers `import`, `module::name`, in addition to preview 1.
pub(crate) fn offers_socket(import: &str) -> bool {
    name(import).is_some_and(|name| SOCKETS.contains(&name))
}

/// Whether WASI preview 1 offers `import`, `module::name`.
pub(crate) fn offers(import: &str) -> bool {
    name(import).is_some_and(|name| FUNCTIONS.contains(&name))
}

fn name(import: &str) -> Option<&str> {
    import.strip_prefix(MODULE)?.strip_prefix("::")
}
