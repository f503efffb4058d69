//! The log and the termination signals of both programs.

use std::io::{self, Write as _};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::oneshot;

/// Writes a log line in daprd's form.
pub fn log(message: &str) {
    let mut out = io::stdout().lock();
    // A failure to log cannot be reported.
    drop(writeln!(out, "level=info msg={message:?}").and_then(|()| out.flush()));
}

/// Waits for SIGTERM or SIGINT; returns which.
///
/// # Errors
/// When no handler can be set.
pub async fn terminated() -> io::Result<&'static str> {
    // Not by tokio's signals: cargo would unify the feature into the shim's tokio, and a guest's process may not make
    // the socket pair of every runtime then.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, received) = oneshot::channel();
    thread::spawn(move || signals.forever().next().map(|signal| sender.send(signal)));
    match received.await {
        Ok(SIGINT) => Ok("interrupt"),
        _ => Ok("terminated"),
    }
}
