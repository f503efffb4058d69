//! Paths on WASI 0.3.

use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptorWithStore as _, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::{ResourceTable, WasiView};
use worlds::paths::ResolvedPath;
use worlds::socket::Errno;

use super::component::{Code, DescriptorTable, Kernel, call, code, functions};
use super::{Doubt, at_once};

/// The interface as wasmtime-wasi 48 names it.
const TYPES: &str = "wasi:filesystem/types@0.3.0";

/// The state of a guest on WASI 0.3.
struct Wasi03<T: 'static>(Accessor<T, WasiFilesystem>);

impl<T: WasiView + 'static> DescriptorTable for Wasi03<T> {
    fn table<R>(&mut self, look: impl FnOnce(&mut ResourceTable) -> R) -> R {
        self.0.with(|mut store| look(store.get().table))
    }
}

code!(ErrorCode);

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

/// Replaces Wasmtime's functions by this file's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    macro_rules! one {
        ($function:ident, $name:literal, ($($before:ident: $B:ty)?), ($($after:ident: $A:ty),*), $how:expr $(, $kernel:expr)?) => {
            types.func_wrap_concurrent(
                concat!("[method]descriptor.", $name),
                |guest: &Accessor<T>,
                 (directory, $($before,)? path, $($after,)*): (Resource<Descriptor>, $($B,)? String, $($A,)*)| {
                    let mut guest = Wasi03(guest.with_getter::<WasiFilesystem>(T::filesystem));
                    Box::pin(async move {
                        call(&mut guest, [(directory, path)], $how, None::<Kernel<'_, _>>$(.or(Some($kernel)))?, |guest, [(directory, path)]| {
                            at_once(WasiFilesystem::$function(
                                &guest.0, directory, $(Clone::clone(&$before),)? path, $(Clone::clone(&$after)),*
                            ))
                        })
                    })
                },
            )?;
        };
    }
    macro_rules! two {
        ($function:ident, $name:literal, ($($before:ident: $B:ty)?)) => {
            types.func_wrap_concurrent(
                concat!("[method]descriptor.", $name),
                |guest: &Accessor<T>,
                 (old, $($before,)? old_path, new, new_path): (
                    Resource<Descriptor>, $($B,)? String, Resource<Descriptor>, String,
                )| {
                    let mut guest = Wasi03(guest.with_getter::<WasiFilesystem>(T::filesystem));
                    Box::pin(async move {
                        let paths = [(old, old_path), (new, new_path)];
                        call(&mut guest, paths, (false, true), None, |guest, [old, new]| {
                            at_once(WasiFilesystem::$function(
                                &guest.0, old.0, $(Clone::clone(&$before),)? old.1, new.0, new.1
                            ))
                        })
                    })
                },
            )?;
        };
    }
    functions!(one, two);
    linker.allow_shadowing(false);
    Ok(())
}
