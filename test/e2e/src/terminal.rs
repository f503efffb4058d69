//! A user at a terminal: types, reads, and has a window of some size.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::pty::{Winsize, openpty};

use crate::process::poll;

/// A command that runs at a terminal; killed when dropped.
pub struct Terminal {
    child: Child,
    ours: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `command` in a window of this size.
    ///
    /// # Errors
    /// When there is no terminal left, or the command cannot be started.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).context("openpty")?;
        let stdio = || -> Result<Stdio> { Ok(pair.slave.as_fd().try_clone_to_owned()?.into()) };
        let child = command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?).spawn()?;
        let ours = File::from(pair.master);
        let shown = Arc::default();
        show(ours.try_clone()?, Arc::clone(&shown));
        Ok(Self { child, ours, shown })
    }

    /// Types `text`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn types(&mut self, text: &str) -> Result<()> {
        Ok(self.ours.write_all(text.as_bytes())?)
    }

    /// Everything shown so far, without carriage returns: the container's terminal and that of `ctr` both add one to
    /// each newline.
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).replace('\r', "")
    }

    /// Waits until `text` is shown.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn shows(&self, text: &str, limit: Duration) -> Result<()> {
        poll(&format!("{text:?} on the terminal"), limit, || Ok(self.shown().contains(text).then_some(())))
            .with_context(|| format!("it shows {:?}", self.shown()))
    }

    /// Waits for the command's end; returns its exit code and what was shown.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn finish(mut self, limit: Duration) -> Result<(i32, String)> {
        let status = poll("the command's end", limit, || Ok(self.child.try_wait()?))
            .with_context(|| format!("the terminal shows {:?}", self.shown()))?;
        match status.code() {
            Some(code) => Ok((code, self.shown())),
            None => bail!("{status}; the terminal shows {:?}", self.shown()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only on a child that has ended, which is fine.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn show(mut terminal: File, into: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut block = [0; 4096];
        // Reading a terminal whose other side is closed fails.
        while let Ok(count @ 1..) = terminal.read(&mut block) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block[..count]);
        }
    });
}
