//! Host functions: how WasmEdge calls them, and the instance as they see it.

#![expect(unsafe_code, reason = "WasmEdge and the host call each other through pointers")]

use std::os::raw::c_void;
use std::sync::OnceLock;
use std::task::{Context as Task, Poll, Waker};

use anyhow::{Context, anyhow};
use engine::{HostCall, Instance, Pending, Stopped};
use tokio::runtime::{Builder, Runtime};
use wasmedge_sys::ffi;

use super::{BoundImport, SharedState, parts, wrapped};

/// An instance, seen from a host function that it has called.
struct Within<S> {
    executor: *mut ffi::WasmEdge_ExecutorContext,
    instance: *const ffi::WasmEdge_ModuleInstanceContext,
    shared: *mut SharedState<S>,
}

// SAFETY: the instance waits until this is dropped, on any thread.
unsafe impl<S: Send> Send for Within<S> {}

impl<S: Send + 'static> Instance<S> for Within<S> {
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>> {
        let outcome = match self.function(export) {
            // SAFETY: the function is the instance's, which waits for the host and may be called by it.
            Some(function) => unsafe { self.invoke(function, arguments) },
            None => Ok(None),
        };
        Box::pin(async move { outcome })
    }

    fn exports(&mut self, function: &str) -> bool {
        self.function(function).is_some()
    }

    fn parts(&mut self) -> (&mut [u8], &mut S) {
        // SAFETY: the instance waits for the host.
        unsafe { parts(self.shared) }
    }
}

impl<S> Within<S> {
    fn function(&self, export: &str) -> Option<*mut ffi::WasmEdge_FunctionInstanceContext> {
        // SAFETY: the instance lives, and the name is only read until this returns.
        let function = unsafe { ffi::WasmEdge_ModuleInstanceFindFunction(self.instance, wrapped(export)) };
        (!function.is_null()).then_some(function)
    }

    /// # Safety
    /// `function` is the instance's.
    unsafe fn invoke(
        &self,
        function: *mut ffi::WasmEdge_FunctionInstanceContext,
        arguments: &[u32],
    ) -> Result<Option<u32>, Stopped> {
        // SAFETY: the caller's promise; `results` has room for as many results as the type has, and each is written.
        unsafe {
            let ty = ffi::WasmEdge_FunctionInstanceGetFunctionType(function);
            let count = ffi::WasmEdge_FunctionTypeGetReturnsLength(ty);
            let value = |number: &u32| ffi::WasmEdge_ValueGenI32(number.cast_signed());
            let arguments: Vec<_> = arguments.iter().map(value).collect();
            let mut results = vec![ffi::WasmEdge_ValueGenI32(0); count as usize];
            let outcome = ffi::WasmEdge_ExecutorInvoke(
                self.executor,
                function,
                arguments.as_ptr(),
                arguments.len() as u32,
                results.as_mut_ptr(),
                count,
            );
            if !ffi::WasmEdge_ResultOK(outcome) {
                return Err(Stopped::Trap("wasm trap in a call of the host's".into()));
            }
            Ok(results.first().map(|value| ffi::WasmEdge_ValueGetI32(*value).cast_unsigned()))
        }
    }
}

/// Calls a host function; WasmEdge calls this.
///
/// # Safety
/// `call` is the [`BoundImport`] that the function was created with, and the rest is what WasmEdge passes to such
/// functions.
pub unsafe extern "C" fn enter<S: Send + 'static>(
    _key: *mut c_void,
    call: *mut c_void,
    frame: *const ffi::WasmEdge_CallingFrameContext,
    given: *const ffi::WasmEdge_Value,
    count: u32,
    results: *mut ffi::WasmEdge_Value,
    result_count: u32,
) -> ffi::WasmEdge_Result {
    const DONE: ffi::WasmEdge_Result = ffi::WasmEdge_Result { Code: 0 };
    const FAILED: ffi::WasmEdge_Result = ffi::WasmEdge_Result { Code: 2 };
    // SAFETY: the function was created with it, and it lives as long as the instance.
    let BoundImport { import, shared } = unsafe { &*call.cast::<BoundImport<S>>() };
    let arguments: Vec<u32> = (0..count as usize)
        // SAFETY: WasmEdge passes `count` values, each an i32 by the function's type.
        .map(|nth| unsafe { ffi::WasmEdge_ValueGetI32(*given.add(nth)) }.cast_unsigned())
        .collect();
    let outcome = match import.call {
        HostCall::Plain(function) => {
            // SAFETY: the instance waits for the host.
            let (memory, state) = unsafe { parts(*shared) };
            function(memory, state, &arguments)
        }
        HostCall::Within(function) => {
            // SAFETY: the frame is valid until this returns.
            let (executor, instance) = unsafe {
                (
                    ffi::WasmEdge_CallingFrameGetExecutor(frame),
                    ffi::WasmEdge_CallingFrameGetModuleInstance(frame),
                )
            };
            let mut within = Within { executor, instance, shared: *shared };
            wait(function(&mut within, &arguments)).and_then(|outcome| outcome)
        }
    };
    match outcome {
        Ok(number) => {
            if result_count == 1 {
                // SAFETY: WasmEdge has room for as many results as the function's type has, which is one.
                unsafe { *results = ffi::WasmEdge_ValueGenI32(number.cast_signed()) };
            }
            DONE
        }
        Err(error) => {
            // SAFETY: the instance waits for the host.
            unsafe { (**shared).failed = Some(format!("{error:#}")) };
            FAILED
        }
    }
}

/// Completes `future`. This thread runs the guest's event loop, on which blocking is not allowed: if the future is
/// pending, another thread runs it, on a loop of its own.
///
/// # Errors
/// When there is no event loop, or the future panics.
fn wait<T: Send>(mut future: Pending<'_, T>) -> anyhow::Result<T> {
    static LOOP: OnceLock<Option<Runtime>> = OnceLock::new();
    // Starts no thread: most futures complete at once.
    let set_up = || Builder::new_current_thread().enable_io().enable_time().build().ok();
    let runtime = LOOP.get_or_init(set_up).as_ref().context("there is no event loop to wait on")?;
    let inside = runtime.enter();
    if let Poll::Ready(done) = future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        return Ok(done);
    }
    drop(inside);
    let waited = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
    waited.map_err(|_| anyhow!("a function of the host's failed"))
}
