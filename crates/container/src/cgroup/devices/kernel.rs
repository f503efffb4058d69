//! bpf(2) for device programs: load, attach to a cgroup, find, detach.
//! Layouts and numbers: `linux/bpf.h`.

#![expect(unsafe_code, reason = "bpf has no safe wrapper without a library that loads anything else, too")]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::program::Instruction;

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const PROG_QUERY: i32 = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Together with other programs, such as systemd's: what any of them refuses is refused.
const ALLOW_MULTI: u32 = 2;
/// The kernel's own limit for one cgroup.
const MAX_PROGRAMS: usize = 64;

/// The name of our programs among those of a cgroup.
const NAME: [u8; 16] = *b"lighter_devices\0";
/// The program calls no helper that needs the GPL.
const LICENCE: &std::ffi::CStr = c"Apache-2.0";

#[derive(Default)]
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[derive(Default)]
#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

#[derive(Default)]
#[repr(C)]
struct Query {
    cgroup: u32,
    kind: u32,
    flags: u32,
    attached_with: u32,
    ids: u64,
    count: u32,
    unused: u32,
}

#[derive(Default)]
#[repr(C)]
struct ById {
    id: u32,
    after: u32,
    flags: u32,
}

#[derive(Default)]
#[repr(C)]
struct Info {
    fd: u32,
    length: u32,
    info: u64,
}

/// The beginning of `struct bpf_prog_info`, up to the name.
#[derive(Default)]
#[repr(C)]
struct Program {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    code: [u64; 2],
    loaded_at: u64,
    user: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// Loads a program; the kernel verifies it.
///
/// # Errors
/// The kernel's error: `EPERM` without CAP_SYS_ADMIN, `EINVAL` when it is older than 5.1.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    load_once(program).or_else(|error| {
        if error.raw_os_error() != Some(libc::EPERM) {
            return Err(error);
        }
        // Before 5.11 programs count as locked memory, summed over all of root's. No container inherits this limit.
        setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).map_err(|_| error)?;
        load_once(program)
    })
}

fn load_once(program: &[Instruction]) -> io::Result<OwnedFd> {
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
        name: NAME,
        ..Load::default()
    };
    opened(call(PROG_LOAD, load)?)
}

/// Attaches the program: it judges the processes of the cgroup and of those below it.
///
/// # Errors
/// The kernel's error, `EPERM` where an attached program allows no others.
pub(super) fn attach(program: &OwnedFd, cgroup: &File) -> io::Result<()> {
    let attach = Attach { flags: ALLOW_MULTI, ..Attach::of(program, cgroup) };
    call(PROG_ATTACH, attach).map(drop)
}

/// Detaches a program.
///
/// # Errors
/// `ENOENT` when it is not there.
pub(super) fn detach(program: &OwnedFd, cgroup: &File) -> io::Result<()> {
    call(PROG_DETACH, Attach::of(program, cgroup)).map(drop)
}

/// The programs of this name that are attached to the cgroup, by any daemon.
///
/// # Errors
/// The kernel's error.
pub(super) fn ours(cgroup: &File) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut query = Query {
        cgroup: number(cgroup.as_raw_fd()),
        kind: CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: MAX_PROGRAMS as u32,
        ..Query::default()
    };
    call_with(PROG_QUERY, &mut query)?;
    let mut ours = Vec::new();
    for id in ids.into_iter().take(query.count as usize) {
        match call(PROG_GET_FD_BY_ID, ById { id, ..ById::default() }) {
            Ok(fd) => ours.push(opened(fd)?),
            // It was detached in the meantime.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    let named = ours.into_iter().map(|program| Ok((name_of(&program)? == NAME).then_some(program)));
    named.filter_map(io::Result::transpose).collect()
}

fn name_of(program: &OwnedFd) -> io::Result<[u8; 16]> {
    let mut info = Program::default();
    let length = size_of::<Program>() as u32;
    call(OBJ_GET_INFO_BY_FD, Info { fd: number(program.as_raw_fd()), length, info: (&raw mut info) as u64 })?;
    Ok(info.name)
}

impl Attach {
    fn of(program: &OwnedFd, cgroup: &File) -> Self {
        let (cgroup, program) = (number(cgroup.as_raw_fd()), number(program.as_raw_fd()));
        Self { cgroup, program, kind: CGROUP_DEVICE, flags: 0 }
    }
}

fn number(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}

fn opened(fd: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the callers requested a new descriptor from bpf and it succeeded, so this one has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call<T>(command: i32, mut attributes: T) -> io::Result<i64> {
    call_with(command, &mut attributes)
}

fn call_with<T>(command: i32, attributes: &mut T) -> io::Result<i64> {
    // SAFETY: each command is called with its struct of `linux/bpf.h`, whose size is passed, plain data without
    // padding that is read; what its addresses point to lives until the caller returns and has the given length.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}
