//! The clock by which guests are interrupted: it ticks while requests are answered and stands still otherwise.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::anyhow;
use wasmtime::Engine;

use crate::limits::Memory;

/// How long a guest computes before others have their turn.
const TICK: Duration = Duration::from_millis(10);
/// Ticks without a guest before the clock stands still: waking it costs more than a few ticks.
const LINGER: u32 = 100;

/// A thread of its own: guests may keep all others busy.
pub struct Ticks {
    clock: Thread,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Guests at work.
    working: AtomicUsize,
    still: AtomicBool,
}

/// A guest at work, while this is held.
pub struct AtWork<'a>(&'a Shared);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticks {
    /// Starts the clock of `engine`, which looks after the bound on `memory`, too.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(engine: Engine, memory: Memory) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = Arc::clone(&shared);
        let thread =
            thread::Builder::new().stack_size(64 << 10).spawn(move || tick(&engine, &memory, &ticking));
        let clock = thread.map_err(|error| no_thread("the guest's clock", &error))?.thread().clone();
        Ok(Self { clock, shared })
    }

    /// Has the clock tick while a guest works.
    pub fn at_work(&self) -> AtWork<'_> {
        self.shared.working.fetch_add(1, Ordering::SeqCst);
        // The clock says that it stands still before it looks a last time whether somebody works.
        if self.shared.still.load(Ordering::SeqCst) {
            self.clock.unpark();
        }
        AtWork(&self.shared)
    }
}

/// Why there is no thread for `what`, by the limits that are in the way.
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

fn tick(engine: &Engine, memory: &Memory, shared: &Shared) {
    let mut quiet = 0;
    loop {
        thread::sleep(TICK);
        engine.increment_epoch();
        memory.refresh();
        quiet = if shared.working.load(Ordering::SeqCst) > 0 { 0 } else { quiet + 1 };
        if quiet > LINGER {
            shared.still.store(true, Ordering::SeqCst);
            while shared.working.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            shared.still.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}
