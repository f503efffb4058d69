//! The common part of both versions of WasmEdge's sockets, for the guests that import them without a crate.

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub fn sock_shutdown(fd: u32, how: u32) -> u32;
    pub fn fd_close(fd: u32) -> u32;
}

pub const STREAM: u32 = 2;
pub const WRITE: u32 = 2;

#[repr(C)]
pub struct Address {
    pub bytes: *mut u8,
    pub length: u32,
}

#[repr(C)]
pub struct Buffer {
    pub bytes: *mut u8,
    pub length: u32,
}
