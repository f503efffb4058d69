//! Of preview 1: what the kernel can do alone it does; for a file, or what is known of one, Wasmtime is asked again.

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

use super::{Doubt, at_once, descriptor, place};
use crate::sockets::{Host, number, split};

/// Of `oflags` and `rights`.
const CREATE: u32 = 1;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;
const FD_WRITE: u64 = 64;
/// The sizes of a descriptor and of a `filestat`.
const DESCRIPTOR: u32 = 4;
const FILESTAT: u32 = 64;

/// What Wasmtime is asked again.
struct Question {
    fd: u32,
    /// Where the path is in the guest's memory, and how long.
    path: (u32, u32),
    follow: bool,
    writes: bool,
    /// Where the guest wants the answer, and how long it is.
    answer: (u32, u32),
}

/// Asks Wasmtime, with a memory, where in it the path is and how long, and where the answer goes.
type Ask<'a> = dyn Fn(&mut WasiP1Ctx, &mut [u8], u32, u32, u32) -> wasmtime::Result<u32> + 'a;

/// A directory of a guest's.
struct Directory {
    file: Arc<File>,
    /// By which number Wasmtime keeps it.
    kept: u32,
}

/// Puts this file's functions in the place of Wasmtime's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<H: Host>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_kernels(linker)?;
    link_wasmtimes(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Links the functions that the kernel can do alone.
fn link_kernels<H: Host>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    macro_rules! kernel {
        ($call:ident = $function:ident($($argument:ident),*)) => {
            linker.func_wrap(MODULE, stringify!($function), |mut caller: Caller<'_, H>, $($argument: u32),*| {
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, host) = split(&mut caller)?;
                let wasi = host.parts().0;
                wasi.set_hostcall_fuel(fuel);
                let mut guest = GuestMemory::Unshared(&mut *memory);
                let answer = finished(preview1::$function(wasi, &mut guest, $($argument.cast_signed()),*))?;
                Ok(match doubt(answer) {
                    None => answer,
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

/// Links the functions that are Wasmtime's alone.
fn link_wasmtimes<H: Host>(linker: &mut Linker<H>) -> wasmtime::Result<()> {
    /// By its arguments, and which of them are the path and where the answer goes.
    macro_rules! wasmtime {
        ($function:ident($($argument:ident: $kind:ty),*) |$path:ident, $length:ident, $at:ident| $question:expr) => {
            linker.func_wrap(MODULE, stringify!($function), |mut caller: Caller<'_, H>, $($argument: $kind),*| {
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, host) = split(&mut caller)?;
                let wasi = host.parts().0;
                wasi.set_hostcall_fuel(fuel);
                let question: Question = $question;
                let ask = |wasi: &mut WasiP1Ctx, memory: &mut [u8], $path: u32, $length: u32, $at: u32| {
                    let mut memory = GuestMemory::Unshared(memory);
                    finished(preview1::$function(wasi, &mut memory, $($argument.cast_signed()),*))
                };
                let answer = ask(wasi, memory, question.path.0, question.path.1, question.answer.0)?;
                match doubt(answer) {
                    None => wasmtime::Result::Ok(answer),
                    Some(doubt) => Ok(again(&question, doubt, wasi, memory, &ask)?.unwrap_or(answer)),
                }
            })?;
        };
    }
    wasmtime!(path_open(
            fd: u32, flags: u32, path: u32, length: u32, open: u32, rights: u64, inherited: u64, fdflags: u32, at: u32
        ) |path, length, at| Question {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0 && open & EXCLUSIVE == 0,
            writes: open & (CREATE | TRUNCATE) != 0 || rights & FD_WRITE != 0,
            answer: (at, DESCRIPTOR),
        }
    );
    wasmtime!(path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, at: u32)
        |path, length, at| Question {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0,
            writes: false,
            answer: (at, FILESTAT),
        }
    );
    wasmtime!(path_filestat_set_times(
            fd: u32, flags: u32, path: u32, length: u32, access: u64, modification: u64, which: u32
        ) |path, length, _at| Question {
            fd,
            path: (path, length),
            follow: flags & FOLLOW != 0,
            writes: true,
            answer: (0, 0),
        }
    );
    Ok(())
}

fn finished(call: impl Future<Output = wasmtime::Result<i32>>) -> wasmtime::Result<u32> {
    let answer = at_once(call).ok_or_else(|| format_err!("a file waited for another thread"))?;
    answer.map(i32::cast_unsigned)
}

fn doubt(answer: u32) -> Option<Doubt> {
    match answer {
        _ if answer == number(Err(Errno::Perm)) => Some(Doubt::Outside),
        _ if answer == number(Err(Errno::Io)) => Some(Doubt::Broken),
        _ => None,
    }
}

/// Has the kernel do it.
fn perform(call: PathCall, wasi: &mut WasiP1Ctx, memory: &mut [u8], arguments: &[u32]) -> Result<(), Errno> {
    let (_, _, directories) = call.import();
    let opened = directories.iter().map(|nth| Ok(Directory::find(wasi, arguments[*nth])?.file));
    let opened = opened.collect::<Result<Vec<_>, Errno>>()?;
    let files: Vec<BorrowedFd<'_>> = opened.iter().map(|file| file.as_fd()).collect();
    call.perform(&mut Memory::new(memory), &files, arguments)
}

/// Asks Wasmtime with the directory in which the path ends in the place of the guest's own. `None` where its first answer
/// stands.
///
/// # Errors
/// As Wasmtime's: what ends the guest.
fn again(
    question: &Question,
    doubt: Doubt,
    wasi: &mut WasiP1Ctx,
    memory: &mut [u8],
    ask: &Ask<'_>,
) -> wasmtime::Result<Option<u32>> {
    let mut memory = Memory::new(memory);
    let mut end = || {
        let directory = Directory::find(wasi, question.fd)?;
        let place = place(&directory.file, text(&memory, question.path)?, question.follow)?;
        Ok(place.map(|place| (directory, place)))
    };
    let (directory, place) = match (end(), doubt) {
        (Ok(Some(end)), _) => end,
        (Err(errno), Doubt::Outside) => return Ok(Some(number(Err(errno)))),
        (Ok(None) | Err(_), _) => return Ok(None),
    };
    let is_read_only = question.writes && place.is_read_only();
    let refused = is_read_only.then(|| number(Err(Errno::RoFs)));
    if doubt == Doubt::Broken {
        return Ok(refused);
    }
    let (at, length) = question.answer;
    // The answer, then the name.
    let mut own = vec![0; length as usize];
    own.extend(place.name.as_bytes());
    let name_length = place.name.len() as u32;
    let mut other = descriptor(place.directory.into());
    let mut swap = |wasi: &mut WasiP1Ctx| {
        directory.swap(wasi, &mut other).map_err(|errno| format_err!("a directory was lost: {errno:?}"))
    };
    swap(wasi)?;
    let answer = ask(wasi, &mut own, length, name_length, 0);
    swap(wasi)?;
    let answer = answer?;
    if answer == 0 {
        // Wasmtime would have ended the guest as well.
        let place = memory.bytes_mut(at, length).map_err(|_| format_err!("pointer out of bounds"))?;
        place.copy_from_slice(&own[..length as usize]);
    }
    Ok(Some(refused.filter(|_| answer == number(Err(Errno::Io))).unwrap_or(answer)))
}

impl Directory {
    /// That of the guest's descriptor. Wasmtime has no way from the one to the other, so each of its directories is
    /// exchanged for a moment for what the guest cannot have, until the guest's descriptor is something else by that.
    ///
    /// # Errors
    /// `BadF` where it is no directory's; when there can be no further descriptor.
    fn find(wasi: &mut WasiP1Ctx, fd: u32) -> Result<Self, Errno> {
        let inode = inode(wasi, fd).ok_or(Errno::BadF)?;
        let (pipe, _) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut other = descriptor(pipe.into());
        let mut unseen = wasi.ctx().table.iter_mut().count();
        let mut kept = 0;
        while unseen > 0 {
            if let Ok(entry) = wasi.ctx().table.get_any_mut(kept) {
                unseen -= 1;
                if let Some(Descriptor::Dir(directory)) = entry.downcast_ref() {
                    let found = Self { file: Arc::clone(&directory.dir), kept };
                    found.swap(wasi, &mut other)?;
                    let seen = self::inode(wasi, fd);
                    found.swap(wasi, &mut other)?;
                    if seen != Some(inode) {
                        return Ok(found);
                    }
                }
            }
            kept += 1;
        }
        Err(Errno::BadF)
    }

    /// Exchanges what is kept for `other`.
    fn swap(&self, wasi: &mut WasiP1Ctx, other: &mut Descriptor) -> Result<(), Errno> {
        let kept = wasi.ctx().table.get_mut(&Resource::new_borrow(self.kept));
        mem::swap(kept.map_err(|_| Errno::BadF)?, other);
        Ok(())
    }
}

/// What Wasmtime knows the file by that is open under the guest's number.
fn inode(wasi: &mut WasiP1Ctx, fd: u32) -> Option<u64> {
    let mut nothing = GuestMemory::Unshared(&mut []);
    let asked = at_once(WasiSnapshotPreview1::fd_filestat_get(wasi, &mut nothing, fd.into()))?;
    asked.ok().map(|found| found.ino)
}
