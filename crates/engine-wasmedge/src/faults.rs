//! Turns stack overflow of a guest into a trap, as for any other fault.
//!
//! WasmEdge turns page faults into traps by a signal handler on the guest's own stack: on overflow it cannot run, and
//! the kernel kills the process. WasmEdge's call of sigaction(2) resolves to the function here before libc's, because a
//! program's own symbols precede those of its libraries. It moves WasmEdge's handler to the alternate stack that Rust's
//! standard library sets up, and records the kind of fault.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, sigaction as Action, siginfo_t, ucontext_t};

/// How far from the stack pointer an overflow faults, in bytes: the size of a frame.
const FRAME: usize = 1 << 20;

/// WasmEdge's handler.
static HANDLER: AtomicUsize = AtomicUsize::new(0);
static STACK_USED_UP: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// libc's own, by its alias.
    fn __sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int;
}

/// Whether the last fault was a stack overflow.
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
    // SAFETY: the kernel passes both, valid until this returns.
    let (touched, stack) = unsafe { ((*info).si_addr() as usize, stack_pointer(context.cast())) };
    STACK_USED_UP.store(touched.abs_diff(stack) < FRAME, Ordering::Relaxed);
    let handler = HANDLER.load(Ordering::Relaxed);
    // SAFETY: WasmEdge installs only a handler of this type, and leaves it by a jump.
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
