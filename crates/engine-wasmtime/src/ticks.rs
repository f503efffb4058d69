//! The epoch clock that interrupts guests: it ticks while requests are handled, and is parked otherwise.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::anyhow;
use wasmtime::Engine;

use crate::limits::Memory;

/// How long a guest computes before it yields to others.
const TICK: Duration = Duration::from_millis(10);
/// Ticks without a working guest before the clock is parked: waking it costs more than a few ticks.
const LINGER: u32 = 100;

/// The clock, on a thread of its own: guests may keep all others busy.
pub struct Ticks {
    clock: Thread,
    state: Arc<ClockState>,
}

#[derive(Default)]
struct ClockState {
    /// Guests at work.
    working: AtomicUsize,
    parked: AtomicBool,
}

/// Keeps the clock ticking, until dropped.
pub struct AtWork<'a>(&'a ClockState);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticks {
    /// Starts the clock of `engine`, which also rereads the limit on `memory` at each tick.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(engine: Engine, memory: Memory) -> anyhow::Result<Self> {
        let state = Arc::new(ClockState::default());
        let ticking = Arc::clone(&state);
        let thread =
            thread::Builder::new().stack_size(64 << 10).spawn(move || tick(&engine, &memory, &ticking));
        let clock = thread.map_err(|error| no_thread("the guest's clock", &error))?.thread().clone();
        Ok(Self { clock, state })
    }

    /// Keeps the clock ticking while a guest works.
    pub fn at_work(&self) -> AtWork<'_> {
        self.state.working.fetch_add(1, Ordering::SeqCst);
        // The clock sets `parked` before it checks `working` a last time, so no wake-up is lost.
        if self.state.parked.load(Ordering::SeqCst) {
            self.clock.unpark();
        }
        AtWork(&self.state)
    }
}

/// Names the limits that prevent the thread of `what`.
fn no_thread(what: &str, error: &io::Error) -> anyhow::Error {
    let why = match error.kind() {
        ErrorKind::WouldBlock => {
            "the container may have no further thread; a server needs two processes or threads at least, by its limit \
             of processes (pids) and RLIMIT_NPROC"
        }
        ErrorKind::OutOfMemory => "there is no room for a thread's stack within RLIMIT_DATA and RLIMIT_AS",
        _ => return anyhow!("cannot start {what}: {error}"),
    };
    anyhow!("cannot start {what}: {why}: {error}")
}

fn tick(engine: &Engine, memory: &Memory, state: &ClockState) {
    let mut quiet = 0;
    loop {
        thread::sleep(TICK);
        engine.increment_epoch();
        memory.refresh();
        quiet = if state.working.load(Ordering::SeqCst) > 0 { 0 } else { quiet + 1 };
        if quiet > LINGER {
            state.parked.store(true, Ordering::SeqCst);
            while state.working.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            state.parked.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}
