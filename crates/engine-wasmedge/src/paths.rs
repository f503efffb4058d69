//! Calls WasmEdge's own path functions with the directory to which a path resolves: see [`worlds::paths`]. Only for the
//! functions that need WasmEdge's table of descriptors, or its view of a file.
//!
//! WasmEdge's WASI works on the memory of the module that calls it. So a small module of our own makes the call: its
//! memory holds the name and receives the output, and during the call the guest's descriptor is replaced by the
//! directory's.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Context;
use rustix::io::{DupFlags, dup, dup3};
use wasmedge_sdk::ValType::{self, I32, I64};
use wasmedge_sdk::wasi::WasiModule;
use wasmedge_sdk::{AsInstance, Instance, WasmValue};
use wasmedge_sys::{Executor, Loader, Store, Validator};
use worlds::Memory;
use worlds::paths::{FOLLOW, resolve, text};
use worlds::socket::Errno;

/// A path function.
pub struct PathFunction {
    pub name: &'static str,
    /// The descriptor, the `lookupflags`, the path and its length, then any others.
    pub parameters: &'static [ValType],
    /// The parameter that is the address of the output, and the output's length.
    output: Option<(usize, u32)>,
    /// Whether it fails if the path exists.
    is_exclusive: fn(&[u64]) -> bool,
}

/// The parameter `oflags` of `path_open`, and its flag `excl`.
const OFLAGS: usize = 4;
const EXCLUSIVE: u64 = 4;

/// All of them.
pub const FUNCTIONS: [PathFunction; 3] = [
    PathFunction {
        name: "path_open",
        parameters: &[I32, I32, I32, I32, I32, I64, I64, I32, I32],
        output: Some((8, 4)),
        is_exclusive: |arguments| arguments[OFLAGS] & EXCLUSIVE != 0,
    },
    PathFunction {
        name: "path_filestat_get",
        parameters: &[I32, I32, I32, I32, I32],
        output: Some((4, 64)),
        is_exclusive: |_| false,
    },
    PathFunction {
        name: "path_filestat_set_times",
        parameters: &[I32, I32, I32, I32, I64, I64, I32],
        output: None,
        is_exclusive: |_| false,
    },
];

/// The calling module, as WebAssembly text.
const CALLER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times"
    (func $set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (memory (export "memory") 1 1)
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    (call $open (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
      (local.get 7) (local.get 8)))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32)
    (call $get (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32)
    (call $set_times (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
      (local.get 6))))"#;
/// The addresses of the output and of the name in its memory of one page.
const OUTPUT: u32 = 0;
const NAME: u32 = 64;
const MAX_NAME: usize = 4096;

/// The calling module, instantiated.
pub struct Paths(RefCell<Caller>);

struct Caller {
    executor: Executor,
    instance: Instance,
    _store: Store,
}

impl Paths {
    /// Links the calling module to the functions that `wasi` has now.
    ///
    /// # Errors
    /// When WasmEdge rejects the module.
    pub fn of(wasi: &WasiModule) -> anyhow::Result<Self> {
        let made = || -> anyhow::Result<_> {
            let module = Loader::create(None)?.from_bytes(workload::binary_of(CALLER.as_bytes())?)?;
            Validator::create(None)?.validate(&module)?;
            let (mut executor, mut store) = (Executor::create(None, None)?, Store::create()?);
            executor.register_import_module(&mut store, wasi.as_ref())?;
            let instance = executor.register_active_module(&mut store, &module)?;
            Ok(Caller { executor, instance, _store: store })
        };
        Ok(Self(RefCell::new(made().context("cannot set up WasmEdge's calls on paths")?)))
    }

    /// Calls `function` with the guest's `memory` and `arguments`. `directory` is the guest's descriptor. Returns
    /// WasmEdge's errno.
    ///
    /// # Errors
    /// The errno if the path cannot be resolved: then WasmEdge is not called.
    pub fn call(
        &self,
        function: &PathFunction,
        memory: &mut Memory<'_>,
        directory: &mut OwnedFd,
        arguments: &[u64],
    ) -> Result<i32, Errno> {
        let [_, flags, path, length, ..] = *arguments else { return Err(Errno::Inval) };
        let path = text(memory, (path as u32, length as u32))?;
        let follow = flags as u32 & FOLLOW != 0 && !(function.is_exclusive)(arguments);
        let resolved = resolve(directory.as_fd(), path, follow)?;
        let mut arguments = arguments.to_vec();
        (arguments[2], arguments[3]) = (NAME.into(), resolved.name.len() as u64);
        if resolved.name.len() > MAX_NAME {
            return Err(Errno::NameTooLong);
        }
        let output = function
            .output
            .map(|(nth, length)| (std::mem::replace(&mut arguments[nth], OUTPUT.into()), length));
        let values = function.parameters.iter().zip(&arguments).map(|(ty, argument)| match ty {
            I64 => WasmValue::from_i64(argument.cast_signed()),
            _ => WasmValue::from_i32((*argument as u32).cast_signed()),
        });
        let own = dup(&*directory)?;
        dup3(&resolved.directory, directory, DupFlags::CLOEXEC)?;
        let length = output.map_or(0, |(_, length)| length);
        let called = self.0.borrow_mut().call(function, &resolved.name, values, length);
        dup3(&own, directory, DupFlags::CLOEXEC)?;
        let (number, bytes) = called?;
        if let (0, Some((at, length))) = (number, output) {
            memory.bytes_mut(at as u32, length)?.copy_from_slice(&bytes);
        }
        Ok(number)
    }
}

impl Caller {
    /// Returns WasmEdge's errno, and the output.
    fn call(
        &mut self,
        function: &PathFunction,
        name: &str,
        values: impl Iterator<Item = WasmValue>,
        length: u32,
    ) -> Result<(i32, Vec<u8>), Errno> {
        let Self { executor, instance, .. } = self;
        // Its memory may be missing for want of address space.
        fn lost<E>(_: E) -> Errno {
            Errno::NoMem
        }
        instance.get_memory_mut("memory").map_err(lost)?.set_data(name, NAME).map_err(lost)?;
        let mut export = instance.get_func_mut(function.name).map_err(lost)?;
        let returned = executor.call_func(&mut export, values).map_err(lost)?;
        let number = returned.first().map(WasmValue::to_i32).ok_or(Errno::Io)?;
        let memory = instance.get_memory_ref("memory").map_err(lost)?;
        Ok((number, memory.get_data(OUTPUT, length).map_err(lost)?))
    }
}
