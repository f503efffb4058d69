//! The `log` fifo in the bundle, which containerd copies to its own log.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use containerd_shim::logger::FifoLogger;
use log::LevelFilter;

/// Sends the `log` crate's records to containerd. Without the fifo they are dropped.
pub fn open(bundle: &Path, debug: bool) {
    // Read-write and non-blocking: a restart of containerd must neither block the shim nor kill it with SIGPIPE.
    let fifo = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(bundle.join("log"));
    let Ok(fifo) = fifo else { return };
    if log::set_boxed_logger(Box::new(FifoLogger::with_file(fifo))).is_ok() {
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    }
}
