//! What both programs ask of the system: a log line, and when they are to end.

use std::io::{self, Write as _};

use tokio::signal::unix::{SignalKind, signal};

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
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => Ok("terminated"),
        _ = int.recv() => Ok("interrupt"),
    }
}
