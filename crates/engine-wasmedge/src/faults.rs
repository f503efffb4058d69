//! A guest whose stack is used up traps, as every other that faults.
//!
//! WasmEdge makes traps of page faults by a signal handler that runs on the guest's own stack: one that is used up
//! cannot hold it, and the kernel would end the process without a word. Its call of sigaction(2) finds the one here
//! before libc's, because a program's own symbols come before those of its libraries. It puts WasmEdge's handler on the
//! stack that Rust's standard library has laid aside, and notes which kind of fault it was.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, sigaction as Action, siginfo_t, ucontext_t};

/// How far from the stack's pointer a used-up stack is touched, in bytes: a frame's size.
const FRAME: usize = 1 << 20;

/// WasmEdge's handler.
static HANDLER: AtomicUsize = AtomicUsize::new(0);
static STACK_USED_UP: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// libc's own, by its other name.
    fn __sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int;
}

/// Whether the last fault was for want of stack.
pub fn stack_used_up() -> bool {
    STACK_USED_UP.load(Ordering::Relaxed)
}

/// sigaction(2), for the whole program.
///
/// # Safety
/// As libc's: `action` and `old` are null or point to one each.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int {
    // SAFETY: the caller's promise.
    let Some(mut wanted) = (unsafe { action.as_ref() }).copied() else {
        // SAFETY: what we were given.
        return unsafe { __sigaction(signal, action, old) };
    };
    let handles = wanted.sa_sigaction != libc::SIG_DFL && wanted.sa_sigaction != libc::SIG_IGN;
    if signal == libc::SIGSEGV && handles && wanted.sa_flags & libc::SA_ONSTACK == 0 {
        HANDLER.store(wanted.sa_sigaction, Ordering::Relaxed);
        wanted.sa_sigaction = on_fault as *const () as usize;
        wanted.sa_flags |= libc::SA_ONSTACK;
    }
    // SAFETY: a whole action, and what we were given.
    unsafe { __sigaction(signal, ptr::from_ref(&wanted), old) }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both, whole, until this returns.
    let (touched, stack) = unsafe { ((*info).si_addr() as usize, stack_pointer(context.cast())) };
    STACK_USED_UP.store(touched.abs_diff(stack) < FRAME, Ordering::Relaxed);
    let handler = HANDLER.load(Ordering::Relaxed);
    // SAFETY: only a handler of this type is installed with it, by WasmEdge, which leaves it by a jump.
    unsafe {
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
        handler(signal, info, context);
    }
}

/// # Safety
/// `context` is a signal's.
unsafe fn stack_pointer(context: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    let registers = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let pointer = registers.gregs[libc::REG_RSP as usize].cast_unsigned();
    #[cfg(target_arch = "aarch64")]
    let pointer = registers.sp;
    usize::try_from(pointer).unwrap_or(usize::MAX)
}
