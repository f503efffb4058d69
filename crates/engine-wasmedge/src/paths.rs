//! WasmEdge's own functions on paths, asked with the directory in which a path ends: see [`worlds::paths`]. Only those that
//! need WasmEdge's table of descriptors, or its view of a file.
//!
//! A function of WasmEdge's WASI works on the memory of the module that calls it. So a small module of our own calls, whose
//! memory holds the name and takes the answer, and for the time of the call the guest's descriptor is the directory's.

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

/// One function.
pub struct Question {
    pub name: &'static str,
    /// The first is the descriptor, the second what `FOLLOW` is a flag of, then come the path and its length.
    pub parameters: &'static [ValType],
    /// Which parameter says where the answer goes, and how long it is.
    answer: Option<(usize, u32)>,
    /// Whether it makes what must not be there.
    is_exclusive: fn(&[u64]) -> bool,
}

/// `oflags` of `path_open`, and the one that wants a new file.
const OFLAGS: usize = 4;
const EXCLUSIVE: u64 = 4;

/// All of them.
pub const QUESTIONS: [Question; 3] = [
    Question {
        name: "path_open",
        parameters: &[I32, I32, I32, I32, I32, I64, I64, I32, I32],
        answer: Some((8, 4)),
        is_exclusive: |arguments| arguments[OFLAGS] & EXCLUSIVE != 0,
    },
    Question {
        name: "path_filestat_get",
        parameters: &[I32, I32, I32, I32, I32],
        answer: Some((4, 64)),
        is_exclusive: |_| false,
    },
    Question {
        name: "path_filestat_set_times",
        parameters: &[I32, I32, I32, I32, I64, I64, I32],
        answer: None,
        is_exclusive: |_| false,
    },
];

/// The module that calls, as WebAssembly text.
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
/// Where in its memory an answer goes, and a name is, which fills no page.
const ANSWER: u32 = 0;
const NAME: u32 = 64;
const LONGEST_NAME: usize = 4096;

/// The module that calls, and what it lives in.
pub struct Paths(RefCell<Caller>);

struct Caller {
    executor: Executor,
    instance: Instance,
    _store: Store,
}

impl Paths {
    /// With the functions that `wasi` has now.
    ///
    /// # Errors
    /// When WasmEdge does not take the module.
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

    /// Asks, for the guest whose `memory` and `arguments` these are. `directory` is what its descriptor means. Returns
    /// WasmEdge's number.
    ///
    /// # Errors
    /// As WASI has them, where WasmEdge is not asked.
    pub fn ask(
        &self,
        question: &Question,
        memory: &mut Memory<'_>,
        directory: &mut OwnedFd,
        arguments: &[u64],
    ) -> Result<i32, Errno> {
        let [_, flags, path, length, ..] = *arguments else { return Err(Errno::Inval) };
        let path = text(memory, (path as u32, length as u32))?;
        let follow = flags as u32 & FOLLOW != 0 && !(question.is_exclusive)(arguments);
        let place = resolve(directory.as_fd(), path, follow)?;
        let mut arguments = arguments.to_vec();
        (arguments[2], arguments[3]) = (NAME.into(), place.name.len() as u64);
        if place.name.len() > LONGEST_NAME {
            return Err(Errno::NameTooLong);
        }
        let wanted = question
            .answer
            .map(|(nth, length)| (std::mem::replace(&mut arguments[nth], ANSWER.into()), length));
        let values = question.parameters.iter().zip(&arguments).map(|(ty, argument)| match ty {
            I64 => WasmValue::from_i64(argument.cast_signed()),
            _ => WasmValue::from_i32((*argument as u32).cast_signed()),
        });
        let own = dup(&*directory)?;
        dup3(&place.directory, directory, DupFlags::CLOEXEC)?;
        let length = wanted.map_or(0, |(_, length)| length);
        let answer = self.0.borrow_mut().call(question, &place.name, values, length);
        dup3(&own, directory, DupFlags::CLOEXEC)?;
        let (number, answer) = answer?;
        if let (0, Some((at, length))) = (number, wanted) {
            memory.bytes_mut(at as u32, length)?.copy_from_slice(&answer);
        }
        Ok(number)
    }
}

impl Caller {
    /// WasmEdge's number, and the answer's bytes.
    fn call(
        &mut self,
        question: &Question,
        name: &str,
        values: impl Iterator<Item = WasmValue>,
        length: u32,
    ) -> Result<(i32, Vec<u8>), Errno> {
        let Self { executor, instance, .. } = self;
        // Without its memory, for which there may be no room, it can do nothing.
        fn lost<E>(_: E) -> Errno {
            Errno::NoMem
        }
        instance.get_memory_mut("memory").map_err(lost)?.set_data(name, NAME).map_err(lost)?;
        let mut function = instance.get_func_mut(question.name).map_err(lost)?;
        let returned = executor.call_func(&mut function, values).map_err(lost)?;
        let number = returned.first().map(WasmValue::to_i32).ok_or(Errno::Io)?;
        let memory = instance.get_memory_ref("memory").map_err(lost)?;
        Ok((number, memory.get_data(ANSWER, length).map_err(lost)?))
    }
}
