//! Path functions of components: repeats a call with the directory to which the path resolves.

use std::error::Error;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::{ResourceTable, TrappableError};
use worlds::paths::ResolvedPath;
use worlds::socket::Errno;

use super::{Doubt, descriptor, resolved};

/// A directory, and a path that is relative to it.
pub(super) type Path = (Resource<Descriptor>, String);

/// The state that these functions need.
pub(super) trait DescriptorTable {
    /// The guest's table of descriptors.
    fn table<R>(&mut self, look: impl FnOnce(&mut ResourceTable) -> R) -> R;
}

/// The error codes of one version of WASI.
pub(super) trait Code: Sized + Error + Send + Sync + 'static {
    const READ_ONLY: Self;

    fn doubt(&self) -> Option<Doubt>;

    /// The code for an errno from resolving a path.
    fn of(errno: Errno) -> Option<Self>;
}

/// Implements [`Code`]: the names are the same in each version.
macro_rules! code {
    ($Code:ident) => {
        impl Code for $Code {
            const READ_ONLY: Self = Self::ReadOnly;

            fn doubt(&self) -> Option<Doubt> {
                match self {
                    Self::NotPermitted => Some(Doubt::Outside),
                    Self::Io => Some(Doubt::ReadOnly),
                    _ => None,
                }
            }

            fn of(errno: Errno) -> Option<Self> {
                match errno {
                    Errno::Acces => Some(Self::Access),
                    Errno::Exist => Some(Self::Exist),
                    Errno::Inval => Some(Self::Invalid),
                    Errno::IlSeq => Some(Self::IllegalByteSequence),
                    Errno::Loop => Some(Self::Loop),
                    Errno::NameTooLong => Some(Self::NameTooLong),
                    Errno::NoEnt => Some(Self::NoEntry),
                    Errno::NoSpc => Some(Self::InsufficientSpace),
                    Errno::NotDir => Some(Self::NotDirectory),
                    Errno::RoFs => Some(Self::ReadOnly),
                    _ => None,
                }
            }
        }
    };
}

/// Calls the kernel for what Wasmtime always refuses: to read an absolute link.
pub(super) type Kernel<'a, R> = &'a dyn Fn(&ResolvedPath) -> Result<R, Errno>;

/// The resolved paths for a repeated call, their directories in the guest's table.
struct Detour<const PATHS: usize> {
    paths: [Path; PATHS],
    is_read_only: bool,
}

impl<const PATHS: usize> Detour<PATHS> {
    fn enter(table: &mut ResourceTable, resolved: Vec<ResolvedPath>) -> wasmtime::Result<Self> {
        let is_read_only = resolved.iter().any(ResolvedPath::is_read_only);
        let mut paths = Vec::with_capacity(PATHS);
        for ResolvedPath { directory, name } in resolved {
            paths.push((table.push(descriptor(directory.into()))?, name));
        }
        let paths = paths.try_into().map_err(|_| wasmtime::format_err!("a path was lost"))?;
        Ok(Self { paths, is_read_only })
    }

    fn leave(self, table: &mut ResourceTable) -> wasmtime::Result<()> {
        for (directory, _) in self.paths {
            table.delete(directory)?;
        }
        Ok(())
    }
}

/// Resolves `paths`. `None` if WASI itself refuses one of them.
///
/// # Errors
/// Why one of them cannot be resolved.
fn resolve_all(
    table: &ResourceTable,
    paths: &[Path],
    follow: bool,
) -> Result<Option<Vec<ResolvedPath>>, Errno> {
    let resolve = |(directory, path): &Path| match table.get(directory) {
        Ok(Descriptor::Dir(directory)) => resolved(&directory.dir, path, follow),
        _ => Ok(None),
    };
    paths.iter().map(resolve).collect()
}

/// The paths with borrowed handles of their directories.
fn borrowed<const PATHS: usize>(paths: &[Path; PATHS]) -> [Path; PATHS] {
    paths.each_ref().map(|(directory, path)| (Resource::new_borrow(directory.rep()), path.clone()))
}

/// Makes `call` with the guest's own paths and, when its result is in doubt, again with the resolved ones, or asks the
/// `kernel` instead. Error codes go to the guest; any other error traps.
pub(super) fn call<H: DescriptorTable, R, C: Code, const PATHS: usize>(
    host: &mut H,
    paths: [Path; PATHS],
    (follow, writes): (bool, bool),
    kernel: Option<Kernel<'_, R>>,
    call: impl Fn(&mut H, [Path; PATHS]) -> Option<Result<R, TrappableError<C>>>,
) -> wasmtime::Result<(Result<R, C>,)> {
    let call = |host: &mut H, paths: &[Path; PATHS]| {
        let result = call(host, borrowed(paths));
        let result = result.ok_or_else(|| wasmtime::format_err!("a file waited for another thread"))?;
        result.map_or_else(|error| error.downcast().map(Err), |found| Ok(Ok(found)))
    };
    let doubt = |result: &Result<R, C>| result.as_ref().err().and_then(Code::doubt);
    let mut result = call(host, &paths)?;
    let Some(first) = doubt(&result) else { return Ok((result,)) };
    match (host.table(|table| resolve_all(table, &paths, follow)), kernel, first) {
        (Ok(Some(resolved)), Some(kernel), Doubt::Outside) => {
            result = kernel(&resolved[0]).or_else(|errno| C::of(errno).map_or(result, Err));
        }
        (Ok(Some(resolved)), ..) => {
            let detour = host.table(|table| Detour::enter(table, resolved))?;
            if first == Doubt::Outside {
                result = call(host, &detour.paths)?;
            }
            if writes && detour.is_read_only && doubt(&result) == Some(Doubt::ReadOnly) {
                result = Err(C::READ_ONLY);
            }
            host.table(|table| detour.leave(table))?;
        }
        (Err(errno), _, Doubt::Outside) => result = C::of(errno).map_or(result, Err),
        (Ok(None) | Err(_), ..) => {}
    }
    Ok((result,))
}

/// Links each path function by `$one`, or by `$two` if it takes two paths. The arguments: its names in Rust and in
/// WASI; its parameters before and after the path; whether it follows a last link and whether it writes; its `Kernel`.
macro_rules! functions {
    ($one:ident, $two:ident) => {
        $one!(create_directory_at, "create-directory-at", (), (), (false, true));
        $one!(stat_at, "stat-at", (flags: PathFlags), (), (follows(flags), false));
        $one!(
            set_times_at,
            "set-times-at",
            (flags: PathFlags),
            (access: NewTimestamp, modification: NewTimestamp),
            (follows(flags), true)
        );
        $one!(
            open_at,
            "open-at",
            (flags: PathFlags),
            (open: OpenFlags, mode: DescriptorFlags),
            (
                follows(flags) && !open.contains(OpenFlags::EXCLUSIVE),
                open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) || mode.contains(DescriptorFlags::WRITE)
            )
        );
        $one!(readlink_at, "readlink-at", (), (), (false, false), &ResolvedPath::target);
        $one!(remove_directory_at, "remove-directory-at", (), (), (false, true));
        $one!(symlink_at, "symlink-at", (target: String), (), (false, true));
        $one!(unlink_file_at, "unlink-file-at", (), (), (false, true));
        $one!(metadata_hash_at, "metadata-hash-at", (flags: PathFlags), (), (follows(flags), false));
        // Neither path is followed: WASI never follows the new one, and Wasmtime refuses to follow the old one.
        $two!(link_at, "link-at", (flags: PathFlags));
        $two!(rename_at, "rename-at", ());
    };
}

pub(super) use {code, functions};
