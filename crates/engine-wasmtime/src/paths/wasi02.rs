//! Paths on WASI 0.2.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor as _, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::{ResourceTable, WasiView};
use worlds::paths::ResolvedPath;
use worlds::socket::Errno;

use super::component::{Code, DescriptorTable, Kernel, call, code, functions};
use super::{Doubt, at_once};

/// The interface as wasmtime-wasi 48 names it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// The state of a guest on WASI 0.2.
struct Wasi02<'a, T>(&'a mut T);

impl<T: WasiView> DescriptorTable for Wasi02<'_, T> {
    fn table<R>(&mut self, look: impl FnOnce(&mut ResourceTable) -> R) -> R {
        look(self.0.ctx().table)
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
pub fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    macro_rules! one {
        ($function:ident, $name:literal, ($($before:ident: $B:ty)?), ($($after:ident: $A:ty),*), $how:expr $(, $kernel:expr)?) => {
            types.func_wrap(
                concat!("[method]descriptor.", $name),
                |mut store: StoreContextMut<'_, T>,
                 (directory, $($before,)? path, $($after,)*): (Resource<Descriptor>, $($B,)? String, $($A,)*)| {
                    call(&mut Wasi02(store.data_mut()), [(directory, path)], $how, None::<Kernel<'_, _>>$(.or(Some($kernel)))?, |guest, [(directory, path)]| {
                        let mut files = guest.0.filesystem();
                        at_once(files.$function(directory, $(Clone::clone(&$before),)? path, $($after),*))
                    })
                },
            )?;
        };
    }
    macro_rules! two {
        ($function:ident, $name:literal, ($($before:ident: $B:ty)?)) => {
            types.func_wrap(
                concat!("[method]descriptor.", $name),
                |mut store: StoreContextMut<'_, T>,
                 (old, $($before,)? old_path, new, new_path): (
                    Resource<Descriptor>, $($B,)? String, Resource<Descriptor>, String,
                )| {
                    let paths = [(old, old_path), (new, new_path)];
                    call(&mut Wasi02(store.data_mut()), paths, (false, true), None, |guest, [old, new]| {
                        let mut files = guest.0.filesystem();
                        at_once(files.$function(old.0, $($before,)? old.1, new.0, new.1))
                    })
                },
            )?;
        };
    }
    functions!(one, two);
    linker.allow_shadowing(false);
    Ok(())
}
