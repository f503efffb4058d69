//! The imports, as in WASI preview 1 and WasmEdge's sockets (first version).

#[path = "../../wasmedge.rs"]
mod wasmedge;

use wasmedge::{Address, Buffer, STREAM, WRITE, fd_close, sock_shutdown};

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn poll_oneoff(ins: *const Subscription, outs: *mut Event, count: u32, events: *mut u32) -> u32;
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
    fn sock_open(family: u32, kind: u32, fd: *mut u32) -> u32;
    fn sock_bind(fd: u32, address: *mut Address, port: u32) -> u32;
    fn sock_listen(fd: u32, backlog: u32) -> u32;
    fn sock_accept(fd: u32, client: *mut u32) -> u32;
    fn sock_connect(fd: u32, address: *mut Address, port: u32) -> u32;
    fn sock_send(fd: u32, buffers: *const Buffer, count: u32, flags: u32, length: *mut u32) -> u32;
    fn sock_getlocaladdr(fd: u32, address: *mut Address, family: *mut u32, port: *mut u32) -> u32;
}

const INET4: u32 = 1;
const MONOTONIC: u32 = 1;
const NONBLOCK: u32 = 4;
const INPROGRESS: u32 = 26;

/// What to wait for.
#[derive(Clone, Copy)]
pub enum Wait {
    /// So many milliseconds.
    After(u64),
    /// This moment of the monotonic clock, in nanoseconds.
    Until(u64),
    /// The next nanosecond of this clock, whatever clock it is.
    Clock(u32),
    Readable(u32),
    Writable(u32),
}

/// 48 bytes: 8 of user data, the tag at 8, the rest from 16.
#[repr(C)]
struct Subscription {
    userdata: u64,
    tag: u64,
    /// The clock's number, or the descriptor.
    what: u64,
    time: u64,
    precision: u64,
    flags: u64,
}

/// 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Event {
    /// The subscription's index in the call.
    pub userdata: u64,
    pub errno: u16,
    pub kind: u8,
    pub nbytes: u64,
    pub flags: u16,
}

fn subscription(userdata: usize, wait: Wait) -> Subscription {
    let (tag, what, time, flags) = match wait {
        Wait::After(milliseconds) => (0, MONOTONIC, milliseconds * 1_000_000, 0),
        Wait::Until(moment) => (0, MONOTONIC, moment, 1),
        Wait::Clock(clock) => (0, clock, 1, 0),
        Wait::Readable(fd) => (1, fd, 0, 0),
        Wait::Writable(fd) => (2, fd, 0, 0),
    };
    Subscription { userdata: userdata as u64, tag, what: what.into(), time, precision: 0, flags }
}

/// The errno, and the events in the order of their subscriptions.
pub fn poll(waits: &[Wait]) -> (u32, Vec<Event>) {
    let ins: Vec<Subscription> =
        waits.iter().enumerate().map(|(place, wait)| subscription(place, *wait)).collect();
    let mut outs = vec![Event::default(); waits.len()];
    let mut count = 0;
    // SAFETY: as many events fit as there are subscriptions.
    let errno = unsafe { poll_oneoff(ins.as_ptr(), outs.as_mut_ptr(), ins.len() as u32, &mut count) };
    outs.truncate(count as usize);
    outs.sort_by_key(|event| (event.userdata, event.kind));
    (errno, outs)
}

/// The monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes one number.
    unsafe { clock_time_get(MONOTONIC, 0, &mut time) };
    time
}

/// A TCP socket, closed only explicitly.
#[derive(Clone, Copy)]
pub struct Socket(pub u32);

fn must(step: &str, errno: u32) {
    assert!(errno == 0, "{step}: errno {errno}");
}

impl Socket {
    fn open() -> Self {
        let mut fd = 0;
        // SAFETY: the host writes one number.
        must("sock_open", unsafe { sock_open(INET4, STREAM, &mut fd) });
        Self(fd)
    }

    /// A listener on 127.0.0.1, and its port.
    pub fn listener() -> (Self, u32) {
        let socket = Self::open();
        let mut bytes = [127, 0, 0, 1];
        let mut address = Address { bytes: bytes.as_mut_ptr(), length: 4 };
        let mut own = [0; 16];
        let mut own = Address { bytes: own.as_mut_ptr(), length: 16 };
        let (mut family, mut port) = (0, 0);
        // SAFETY: the addresses live for the calls and have the lengths they say.
        unsafe {
            must("sock_bind", sock_bind(socket.0, &mut address, 0));
            must("sock_listen", sock_listen(socket.0, 8));
            must("sock_getlocaladdr", sock_getlocaladdr(socket.0, &mut own, &mut family, &mut port));
        }
        (socket, port)
    }

    /// A non-blocking socket that connects to this port of 127.0.0.1.
    pub fn connecting(port: u32) -> Self {
        let socket = Self::open();
        let mut bytes = [127, 0, 0, 1];
        let mut address = Address { bytes: bytes.as_mut_ptr(), length: 4 };
        // SAFETY: the address lives for the call and has the length it says.
        let errno = unsafe {
            must("fd_fdstat_set_flags", fd_fdstat_set_flags(socket.0, NONBLOCK));
            sock_connect(socket.0, &mut address, port)
        };
        assert!(errno == 0 || errno == INPROGRESS, "sock_connect: errno {errno}");
        socket
    }

    pub fn accept(self) -> Self {
        let mut fd = 0;
        // SAFETY: the host writes one number.
        must("sock_accept", unsafe { sock_accept(self.0, &mut fd) });
        Self(fd)
    }

    pub fn send(self, bytes: &[u8]) {
        let buffer = Buffer { bytes: bytes.as_ptr().cast_mut(), length: bytes.len() as u32 };
        let mut length = 0;
        // SAFETY: the host reads the buffer and no more, and writes one number.
        must("sock_send", unsafe { sock_send(self.0, &buffer, 1, 0, &mut length) });
    }

    /// Shuts the sending side down.
    pub fn end(self) {
        // SAFETY: numbers only.
        must("sock_shutdown", unsafe { sock_shutdown(self.0, WRITE) });
    }

    pub fn close(self) {
        // SAFETY: numbers only; a test that uses the descriptor afterwards intends to.
        must("fd_close", unsafe { fd_close(self.0) });
    }
}
