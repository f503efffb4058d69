//! The second version of WasmEdge's sockets, through the `_v2` functions.
//!
//! An address is 128 bytes: the family in the first two, little-endian, then the path and a zero.

#[path = "../../wasmedge.rs"]
mod wasmedge;

use wasmedge::{Address, Buffer, STREAM, WRITE, fd_close, sock_shutdown};

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn sock_open_v2(family: u32, kind: u32, fd: *mut u32) -> u32;
    fn sock_bind_v2(fd: u32, address: *mut Address, port: u32) -> u32;
    fn sock_listen_v2(fd: u32, backlog: u32) -> u32;
    fn sock_accept_v2(fd: u32, flags: u32, client: *mut u32) -> u32;
    fn sock_connect_v2(fd: u32, address: *mut Address, port: u32) -> u32;
    fn sock_recv_v2(
        fd: u32,
        buffers: *mut Buffer,
        count: u32,
        flags: u32,
        length: *mut u32,
        flags_out: *mut u32,
    ) -> u32;
    fn sock_send_v2(fd: u32, buffers: *const Buffer, count: u32, flags: u32, length: *mut u32) -> u32;
    fn sock_getlocaladdr_v2(fd: u32, address: *mut Address, port: *mut u32) -> u32;
}

const UNIX: u32 = 3;
const STORAGE: usize = 128;
const PATH_AT: usize = 2;
const PATH_MAX: usize = 108;
const INVAL: u32 = 28;

/// A number of WASI's `errno`.
#[derive(Debug)]
pub struct Errno(pub u32);

/// A unix stream socket.
pub struct Socket(u32);

fn check(errno: u32) -> Result<(), Errno> {
    if errno == 0 { Ok(()) } else { Err(Errno(errno)) }
}

fn storage(path: &str) -> Result<[u8; STORAGE], Errno> {
    let mut storage = [0; STORAGE];
    // The path ends with a zero.
    if path.len() >= PATH_MAX {
        return Err(Errno(INVAL));
    }
    storage[..PATH_AT].copy_from_slice(&(UNIX as u16).to_le_bytes());
    storage[PATH_AT..PATH_AT + path.len()].copy_from_slice(path.as_bytes());
    Ok(storage)
}

impl Socket {
    pub fn open() -> Result<Self, Errno> {
        let mut fd = 0;
        // SAFETY: the host writes one number.
        check(unsafe { sock_open_v2(UNIX, STREAM, &mut fd) })?;
        Ok(Self(fd))
    }

    pub fn bind(&self, path: &str) -> Result<(), Errno> {
        let mut storage = storage(path)?;
        let mut address = Address { bytes: storage.as_mut_ptr(), length: STORAGE as u32 };
        // SAFETY: the address lives for the call and has the length it says.
        check(unsafe { sock_bind_v2(self.0, &mut address, 0) })
    }

    pub fn listen(&self) -> Result<(), Errno> {
        // SAFETY: numbers only.
        check(unsafe { sock_listen_v2(self.0, 1) })
    }

    pub fn accept(&self) -> Result<Self, Errno> {
        let mut fd = 0;
        // SAFETY: the host writes one number.
        check(unsafe { sock_accept_v2(self.0, 0, &mut fd) })?;
        Ok(Self(fd))
    }

    pub fn connect(&self, path: &str) -> Result<(), Errno> {
        let mut storage = storage(path)?;
        let mut address = Address { bytes: storage.as_mut_ptr(), length: STORAGE as u32 };
        // SAFETY: the address lives for the call and has the length it says.
        check(unsafe { sock_connect_v2(self.0, &mut address, 0) })
    }

    /// The path this socket is bound to.
    pub fn path(&self) -> Result<String, Errno> {
        let mut storage = [0; STORAGE];
        let mut address = Address { bytes: storage.as_mut_ptr(), length: STORAGE as u32 };
        let mut port = 0;
        // SAFETY: the host writes the address in place and one number.
        check(unsafe { sock_getlocaladdr_v2(self.0, &mut address, &mut port) })?;
        let path = storage[PATH_AT..PATH_AT + PATH_MAX].iter().copied().take_while(|byte| *byte != 0);
        Ok(String::from_utf8_lossy(&path.collect::<Vec<u8>>()).into_owned())
    }

    /// The next bytes; none at the end.
    pub fn receive(&self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; 4096];
        let mut buffer = Buffer { bytes: bytes.as_mut_ptr(), length: bytes.len() as u32 };
        let (mut length, mut flags) = (0, 0);
        // SAFETY: the buffer lives for the call and has the length it says.
        check(unsafe { sock_recv_v2(self.0, &mut buffer, 1, 0, &mut length, &mut flags) })?;
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    /// Sends all of it.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let buffer = Buffer { bytes: rest.as_ptr().cast_mut(), length: rest.len() as u32 };
            let mut length = 0;
            // SAFETY: the host reads the buffer and no more, and writes one number.
            check(unsafe { sock_send_v2(self.0, &buffer, 1, 0, &mut length) })?;
            sent += length as usize;
        }
        Ok(())
    }

    /// Shuts the sending side down.
    pub fn end(&self) -> Result<(), Errno> {
        // SAFETY: numbers only.
        check(unsafe { sock_shutdown(self.0, WRITE) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: only this socket owns the descriptor.
        unsafe { fd_close(self.0) };
    }
}
