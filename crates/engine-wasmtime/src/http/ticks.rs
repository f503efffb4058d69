//! The clock by which guests are interrupted: it ticks while requests are answered and stands still otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::Context;
use wasmtime::Engine;

/// How long a guest computes before others have their turn.
const TICK: Duration = Duration::from_millis(10);
/// Ticks without a request before the clock stands still: waking it costs more than a few ticks.
const LINGER: u32 = 100;

/// A thread of its own: guests may keep all others busy.
pub struct Ticks {
    clock: Thread,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// A request came since the last tick.
    busy: AtomicBool,
    /// The clock stands still.
    still: AtomicBool,
}

impl Ticks {
    /// Starts the clock of `engine`, standing still.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(engine: Engine) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = Arc::clone(&shared);
        let thread = thread::Builder::new().stack_size(64 << 10).spawn(move || tick(&engine, &ticking));
        let clock = thread.context("cannot start the guest's clock")?.thread().clone();
        Ok(Self { clock, shared })
    }

    /// A guest is about to compute.
    pub fn needed(&self) {
        // The usual case is a read alone: the cache line stays where it is.
        if !self.shared.busy.load(Ordering::Relaxed) {
            self.shared.busy.store(true, Ordering::SeqCst);
            if self.shared.still.load(Ordering::SeqCst) {
                self.clock.unpark();
            }
        }
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut quiet = 0;
    loop {
        thread::sleep(TICK);
        engine.increment_epoch();
        quiet = if shared.busy.swap(false, Ordering::SeqCst) { 0 } else { quiet + 1 };
        if quiet > LINGER {
            shared.still.store(true, Ordering::SeqCst);
            while !shared.busy.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.still.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}
