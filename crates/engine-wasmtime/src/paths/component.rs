//! The same for components: Wasmtime is asked again with the directory in which a path ends.

use std::error::Error;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::{ResourceTable, TrappableError};
use worlds::paths::Place;
use worlds::socket::Errno;

use super::{Doubt, descriptor, place};

/// A directory, and a path that is relative to it.
pub(super) type Path = (Resource<Descriptor>, String);

/// A guest's state, as these functions see it.
pub(super) trait Host {
    /// Its table of descriptors.
    fn table<R>(&mut self, look: impl FnOnce(&mut ResourceTable) -> R) -> R;
}

/// An error code of one version of WASI.
pub(super) trait Code: Sized + Error + Send + Sync + 'static {
    const READ_ONLY: Self;

    fn doubt(&self) -> Option<Doubt>;

    /// Of an error on the way to where a path leads.
    fn of(errno: Errno) -> Option<Self>;
}

/// They have the same names in each.
macro_rules! code {
    ($Code:ident) => {
        impl Code for $Code {
            const READ_ONLY: Self = Self::ReadOnly;

            fn doubt(&self) -> Option<Doubt> {
                match self {
                    Self::NotPermitted => Some(Doubt::Outside),
                    Self::Io => Some(Doubt::Broken),
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

/// What the kernel does itself of what Wasmtime refuses wherever it is: to read a link that is absolute.
pub(super) type Kernel<'a, R> = &'a dyn Fn(&Place) -> Result<R, Errno>;

/// Where a call is made again.
struct Detour<const PATHS: usize> {
    entered: [Path; PATHS],
    is_read_only: bool,
}

impl<const PATHS: usize> Detour<PATHS> {
    fn enter(table: &mut ResourceTable, places: Vec<Place>) -> wasmtime::Result<Self> {
        let is_read_only = places.iter().any(Place::is_read_only);
        let mut entered = Vec::with_capacity(PATHS);
        for Place { directory, name } in places {
            entered.push((table.push(descriptor(directory.into()))?, name));
        }
        let entered = entered.try_into().map_err(|_| wasmtime::format_err!("a path was lost"))?;
        Ok(Self { entered, is_read_only })
    }

    fn leave(self, table: &mut ResourceTable) -> wasmtime::Result<()> {
        for (directory, _) in self.entered {
            table.delete(directory)?;
        }
        Ok(())
    }
}

/// Where `paths` lead. `None` where WASI itself refuses one of them.
///
/// # Errors
/// Why one of them leads nowhere.
fn ends(table: &ResourceTable, paths: &[Path], follow: bool) -> Result<Option<Vec<Place>>, Errno> {
    let end = |(directory, path): &Path| match table.get(directory) {
        Ok(Descriptor::Dir(directory)) => place(&directory.dir, path, follow),
        _ => Ok(None),
    };
    paths.iter().map(end).collect()
}

/// Further handles to the directories.
fn lent<const PATHS: usize>(paths: &[Path; PATHS]) -> [Path; PATHS] {
    paths.each_ref().map(|(directory, path)| (Resource::new_borrow(directory.rep()), path.clone()))
}

/// Asks with the guest's own paths, and where the answer is in doubt with those that they lead to. `call` is made with
/// either, if the `kernel` does not do it. An error code is the guest's to see; anything else traps.
pub(super) fn ask<H: Host, R, C: Code, const PATHS: usize>(
    host: &mut H,
    paths: [Path; PATHS],
    (follow, writes): (bool, bool),
    kernel: Option<Kernel<'_, R>>,
    call: impl Fn(&mut H, [Path; PATHS]) -> Option<Result<R, TrappableError<C>>>,
) -> wasmtime::Result<(Result<R, C>,)> {
    let call = |host: &mut H, paths: &[Path; PATHS]| {
        let answer = call(host, lent(paths));
        let answer = answer.ok_or_else(|| wasmtime::format_err!("a file waited for another thread"))?;
        answer.map_or_else(|error| error.downcast().map(Err), |found| Ok(Ok(found)))
    };
    let doubt = |answer: &Result<R, C>| answer.as_ref().err().and_then(Code::doubt);
    let mut answer = call(host, &paths)?;
    let Some(first) = doubt(&answer) else { return Ok((answer,)) };
    match (host.table(|table| ends(table, &paths, follow)), kernel, first) {
        (Ok(Some(places)), Some(kernel), Doubt::Outside) => {
            answer = kernel(&places[0]).or_else(|errno| C::of(errno).map_or(answer, Err));
        }
        (Ok(Some(places)), ..) => {
            let detour = host.table(|table| Detour::enter(table, places))?;
            if first == Doubt::Outside {
                answer = call(host, &detour.entered)?;
            }
            if writes && detour.is_read_only && doubt(&answer) == Some(Doubt::Broken) {
                answer = Err(C::READ_ONLY);
            }
            host.table(|table| detour.leave(table))?;
        }
        (Err(errno), _, Doubt::Outside) => answer = C::of(errno).map_or(answer, Err),
        (Ok(None) | Err(_), ..) => {}
    }
    Ok((answer,))
}

/// Links all functions on paths by `$one`, or `$two` where there are two: each by its name in Rust and in WASI, with what
/// it takes before its path and behind it, whether it follows the path's last link and writes, and what the kernel does.
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
        $one!(readlink_at, "readlink-at", (), (), (false, false), &Place::target);
        $one!(remove_directory_at, "remove-directory-at", (), (), (false, true));
        $one!(symlink_at, "symlink-at", (target: String), (), (false, true));
        $one!(unlink_file_at, "unlink-file-at", (), (), (false, true));
        $one!(metadata_hash_at, "metadata-hash-at", (flags: PathFlags), (), (follows(flags), false));
        // The new name of a link is never followed, and Wasmtime refuses to follow the old one.
        $two!(link_at, "link-at", (flags: PathFlags));
        $two!(rename_at, "rename-at", ());
    };
}

pub(super) use {code, functions};
