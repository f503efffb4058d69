//! What both programs ask of the system: a log line, and when they are to end.

use std::io::{self, Write as _};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

/// A line in the form of daprd's.
pub fn log(message: &str) {
    let mut out = io::stdout().lock();
    // Nobody is left to be told when nobody reads.
    drop(writeln!(out, "level=info msg={message:?}").and_then(|()| out.flush()));
}

/// Waits for SIGTERM or SIGINT; says which.
///
/// # Errors
/// When no handler can be set.
pub async fn told_to_end() -> io::Result<&'static str> {
    // Not by tokio's signals: built in one go with the shim they would be part of every runtime there, too, and a
    // guest's process may not make their pair of sockets.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (tell, told) = oneshot::channel();
    thread::spawn(move || signals.forever().next().map(|signal| tell.send(signal)));
    match told.await {
        Ok(SIGINT) => Ok("interrupt"),
        _ => Ok("terminated"),
    }
}
