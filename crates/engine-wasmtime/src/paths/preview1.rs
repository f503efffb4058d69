//! Path functions of preview 1: those that need no descriptor of Wasmtime's are repeated by the kernel; opening, stat
//! and setting times call Wasmtime again.

use std::fs::File;
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use rustix::pipe::PipeFlags;
use wasmtime::component::Resource;
use wasmtime::{AsContextMut, Caller, Linker, format_err};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1};
use wiggle::GuestMemory;
use worlds::Memory;
use worlds::paths::{FOLLOW, PathCall, text};
use worlds::socket::{Errno, MODULE};

use super::{Doubt, at_once, descriptor, resolved};
use crate::sockets::{SocketHost, number, split};

// Bits of `oflags` and `rights`.
const CREATE: u32 = 1;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;
const FD_WRITE: u64 = 64;
// The sizes of a descriptor and of a `filestat`.
const DESCRIPTOR: u32 = 4;
const FILESTAT: u32 = 64;

/// A call of Wasmtime's that may be repeated.
struct WasmtimeCall {
    fd: u32,
    /// The path's address in the guest's memory and its length.
    path: (u32, u32),
    follow: bool,
    writes: bool,
    /// The address of the output and its length.
    output: (u32, u32),
}

/// Calls Wasmtime with a memory, the path's address in it and length, and the address of the output.
type Repeat<'a> = dyn Fn(&mut WasiP1Ctx, &mut [u8], u32, u32, u32) -> wasmtime::Result<u32> + 'a;

/// An open directory of the guest's.
struct Directory {
    file: Arc<File>,
    /// Its index in Wasmtime's resource table.
    index: u32,
}

/// Replaces Wasmtime's functions by this file's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_kernel_calls(linker)?;
    link_wasmtime_calls(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Links the functions that the kernel repeats.
fn link_kernel_calls<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    macro_rules! kernel {
        ($call:ident = $function:ident($($argument:ident),*)) => {
            linker.func_wrap(MODULE, stringify!($function), |mut caller: Caller<'_, H>, $($argument: u32),*| {
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, host) = split(&mut caller)?;
                let wasi = host.parts().0;
                wasi.set_hostcall_fuel(fuel);
                let mut guest = GuestMemory::Unshared(&mut *memory);
                let result = finished(preview1::$function(wasi, &mut guest, $($argument.cast_signed()),*))?;
                Ok(match doubt(result) {
                    None => result,
                    Some(_) => number(perform(PathCall::$call, wasi, memory, &[$($argument),*])),
                })
            })?;
        };
    }
    kernel!(CreateDirectory = path_create_directory(fd, path, length));
    kernel!(Link = path_link(fd, flags, path, length, new_fd, new, new_length));
    kernel!(Readlink = path_readlink(fd, path, length, buffer, room, size));
    kernel!(RemoveDirectory = path_remove_directory(fd, path, length));
    kernel!(Rename = path_rename(fd, path, length, new_fd, new, new_length));
    kernel!(Symlink = path_symlink(target, target_length, fd, path, length));
    kernel!(UnlinkFile = path_unlink_file(fd, path, length));
    Ok(())
}

/// Links the functions that only Wasmtime can repeat.
fn link_wasmtime_calls<H: SocketHost>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    /// Takes a function's parameters, and which of them are the path and the output.
    macro_rules! wasmtime {
        ($function:ident($($argument:ident: $kind:ty),*) |$path:ident, $length:ident, $at:ident| $wasmtime_call:expr) => {
            linker.func_wrap(MODULE, stringify!($function), |mut caller: Caller<'_, H>, $($argument: $kind),*| {
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, host) = split(&mut caller)?;
                let wasi = host.parts().0;
                wasi.set_hostcall_fuel(fuel);
                let first: WasmtimeCall = $wasmtime_call;
                let repeat = |wasi: &mut WasiP1Ctx, memory: &mut [u8], $path: u32, $length: u32, $at: u32| {
                    let mut memory = GuestMemory::Unshared(memory);
                    finished(preview1::$function(wasi, &mut memory, $($argument.cast_signed()),*))
                };
                let result = repeat(wasi, memory, first.path.0, first.path.1, first.output.0)?;
                match doubt(result) {
                    None => wasmtime::Result::Ok(result),
                    Some(doubt) => Ok(again(&first, doubt, wasi, memory, &repeat)?.unwrap_or(result)),
                }
            })?;
        };
    }
    wasmtime!(path_open(
            fd: u32, flags: u32, path: u32, length: u32, open: u32, rights: u64, inherited: u64, fdflags: u32, at: u32
        ) |path, length, at| WasmtimeCall {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0 && open & EXCLUSIVE == 0,
            writes: open & (CREATE | TRUNCATE) != 0 || rights & FD_WRITE != 0,
            output: (at, DESCRIPTOR),
        }
    );
    wasmtime!(path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, at: u32)
        |path, length, at| WasmtimeCall {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0,
            writes: false,
            output: (at, FILESTAT),
        }
    );
    wasmtime!(path_filestat_set_times(
            fd: u32, flags: u32, path: u32, length: u32, access: u64, modification: u64, which: u32
        ) |path, length, _at| WasmtimeCall {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0,
            writes: true,
            output: (0, 0),
        }
    );
    Ok(())
}

fn finished(call: impl Future<Output = wasmtime::Result<i32>>) -> wasmtime::Result<u32> {
    let result = at_once(call).ok_or_else(|| format_err!("a file waited for another thread"))?;
    result.map(i32::cast_unsigned)
}

fn doubt(result: u32) -> Option<Doubt> {
    match result {
        _ if result == number(Err(Errno::Perm)) => Some(Doubt::Outside),
        _ if result == number(Err(Errno::Io)) => Some(Doubt::ReadOnly),
        _ => None,
    }
}

/// Repeats `call` by the kernel.
fn perform(call: PathCall, wasi: &mut WasiP1Ctx, memory: &mut [u8], arguments: &[u32]) -> Result<(), Errno> {
    let (_, _, directories) = call.import();
    let opened = directories.iter().map(|nth| Ok(Directory::find(wasi, arguments[*nth])?.file));
    let opened = opened.collect::<Result<Vec<_>, Errno>>()?;
    let files: Vec<BorrowedFd<'_>> = opened.iter().map(|file| file.as_fd()).collect();
    call.perform(&mut Memory::new(memory), &files, arguments)
}

/// Repeats `first` with the directory to which the path resolves in place of the guest's own. `None` if the first
/// result stands.
///
/// # Errors
/// Those of Wasmtime's that end the guest.
fn again(
    first: &WasmtimeCall,
    doubt: Doubt,
    wasi: &mut WasiP1Ctx,
    memory: &mut [u8],
    repeat: &Repeat<'_>,
) -> wasmtime::Result<Option<u32>> {
    let mut memory = Memory::new(memory);
    let mut resolve = || {
        let directory = Directory::find(wasi, first.fd)?;
        let path = resolved(&directory.file, text(&memory, first.path)?, first.follow)?;
        Ok(path.map(|path| (directory, path)))
    };
    let (directory, path) = match (resolve(), doubt) {
        (Ok(Some(resolved)), _) => resolved,
        (Err(errno), Doubt::Outside) => return Ok(Some(number(Err(errno)))),
        (Ok(None) | Err(_), _) => return Ok(None),
    };
    let is_read_only = first.writes && path.is_read_only();
    let refused = is_read_only.then(|| number(Err(Errno::RoFs)));
    if doubt == Doubt::ReadOnly {
        return Ok(refused);
    }
    let (at, length) = first.output;
    // A memory for the call: the output, then the name.
    let mut own = vec![0; length as usize];
    own.extend(path.name.as_bytes());
    let name_length = path.name.len() as u32;
    let mut other = descriptor(path.directory.into());
    let mut swap = |wasi: &mut WasiP1Ctx| {
        directory.swap(wasi, &mut other).map_err(|errno| format_err!("a directory was lost: {errno:?}"))
    };
    swap(wasi)?;
    let result = repeat(wasi, &mut own, length, name_length, 0);
    swap(wasi)?;
    let result = result?;
    if result == 0 {
        // Traps, as Wasmtime does.
        let output = memory.bytes_mut(at, length).map_err(|_| format_err!("pointer out of bounds"))?;
        output.copy_from_slice(&own[..length as usize]);
    }
    Ok(Some(refused.filter(|_| result == number(Err(Errno::Io))).unwrap_or(result)))
}

impl Directory {
    /// The directory of the guest's descriptor `fd`. Wasmtime does not expose that mapping, so this swaps a pipe for
    /// each directory of its table in turn, until the inode of `fd` changes.
    ///
    /// # Errors
    /// `BadF` if `fd` is no directory; when no pipe can be opened.
    fn find(wasi: &mut WasiP1Ctx, fd: u32) -> Result<Self, Errno> {
        let inode = inode(wasi, fd).ok_or(Errno::BadF)?;
        let (pipe, _) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut other = descriptor(pipe.into());
        let mut unseen = wasi.ctx().table.iter_mut().count();
        let mut index = 0;
        while unseen > 0 {
            if let Ok(entry) = wasi.ctx().table.get_any_mut(index) {
                unseen -= 1;
                if let Some(Descriptor::Dir(directory)) = entry.downcast_ref() {
                    let found = Self { file: Arc::clone(&directory.dir), index };
                    found.swap(wasi, &mut other)?;
                    let seen = self::inode(wasi, fd);
                    found.swap(wasi, &mut other)?;
                    if seen != Some(inode) {
                        return Ok(found);
                    }
                }
            }
            index += 1;
        }
        Err(Errno::BadF)
    }

    /// Swaps the entry of the table with `other`.
    fn swap(&self, wasi: &mut WasiP1Ctx, other: &mut Descriptor) -> Result<(), Errno> {
        let entry = wasi.ctx().table.get_mut(&Resource::new_borrow(self.index));
        mem::swap(entry.map_err(|_| Errno::BadF)?, other);
        Ok(())
    }
}

/// The inode of the guest's descriptor `fd`, as Wasmtime reports it.
fn inode(wasi: &mut WasiP1Ctx, fd: u32) -> Option<u64> {
    let mut nothing = GuestMemory::Unshared(&mut []);
    let stat = at_once(WasiSnapshotPreview1::fd_filestat_get(wasi, &mut nothing, fd.into()))?;
    stat.ok().map(|stat| stat.ino)
}
