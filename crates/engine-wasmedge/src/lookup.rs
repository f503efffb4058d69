//! `sock_getaddrinfo` without libc's resolver, which would ask the image's files whom to load.

use std::sync::Arc;

use anyhow::Context;
use network::Egress;
use tokio::runtime::{Builder, Runtime};
use wasmedge_sdk::error::CoreError;
use wasmedge_sdk::wasi::WasiModule;
use wasmedge_sdk::{CallingFrame, FuncType, Instance, ValType, WasmValue};
use wasmedge_sys::{AsInstance, Function, ffi};
use worlds::socket::{self, Errno, Memory};

const NAME: &str = "sock_getaddrinfo";

/// Who answers.
struct Names {
    egress: Arc<Egress>,
    runtime: Runtime,
}

/// Puts this file's function in the place of WasmEdge's.
///
/// # Errors
/// When there is no event loop for it, or no memory.
pub fn replace(wasi: &mut WasiModule, egress: Arc<Egress>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot set up the guest's event loop")?;
    // As long as the process: its functions may be called until it ends.
    let names = Box::leak(Box::new(Names { egress, runtime }));
    let ty = FuncType::new(vec![ValType::I32; 8], vec![ValType::I32]);
    // SAFETY: `names` lives as long as the process.
    let function = unsafe { Function::create_sync_func(&ty, getaddrinfo, names, 0) }
        .context("cannot make a host function")?;
    // SAFETY: all three live; the name is copied, and the function is the module's own from here.
    unsafe {
        let name = ffi::WasmEdge_StringWrap(NAME.as_ptr().cast(), NAME.len() as u32);
        let module = wasi.as_ref().as_ptr().cast_mut();
        ffi::WasmEdge_ModuleInstanceAddFunction(module, name, function.as_ptr());
    }
    std::mem::forget(function);
    Ok(())
}

fn getaddrinfo(
    names: &mut Names,
    _: &mut Instance,
    frame: &mut CallingFrame,
    args: Vec<WasmValue>,
) -> Result<Vec<WasmValue>, CoreError> {
    let args: Vec<u32> = args.iter().map(|arg| arg.to_i32().cast_unsigned()).collect();
    let errno = match look_up(names, frame, &args) {
        Ok(()) => 0,
        Err(errno) => i32::from(errno.number()),
    };
    Ok(vec![WasmValue::from_i32(errno)])
}

fn look_up(names: &Names, frame: &mut CallingFrame, args: &[u32]) -> Result<(), Errno> {
    let arguments = <[u32; 8]>::try_from(args).map_err(|_| Errno::Inval)?;
    let mut memory = frame.memory_mut(0).ok_or(Errno::Fault)?;
    let length = u32::try_from(u64::from(memory.size()) << 16).unwrap_or(u32::MAX);
    // SAFETY: the range is the memory's own, which neither grows nor goes while the guest waits for this call.
    let bytes = unsafe {
        let start = memory.data_pointer_mut(0, length).map_err(|_| Errno::Fault)?;
        std::slice::from_raw_parts_mut(start, length as usize)
    };
    let mut memory = Memory::new(bytes);
    names.runtime.block_on(socket::getaddrinfo(&names.egress, &mut memory, arguments))
}
