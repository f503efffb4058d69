//! A thread in which an input can do no harm: its root is an empty directory, its network namespace is empty.

use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::Target;

/// A target in a thread of its own. Needs root.
pub struct Apart {
    inputs: Option<SyncSender<Vec<u8>>>,
    done: Receiver<anyhow::Result<()>>,
    thread: Option<JoinHandle<()>>,
    /// The thread's root, removed after it.
    _root: TempDir,
}

impl Apart {
    /// Sets `target` up.
    ///
    /// The target's or the kernel's error.
    /// What the target or the kernel says.
    pub fn new(target: Target) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let path = root.path().to_owned();
        let (inputs, taken) = sync_channel::<Vec<u8>>(0);
        let (outcomes, done) = sync_channel(0);
        let thread = thread::spawn(move || {
            let made = leave().and_then(|()| target()).and_then(|run| {
                // Only now, since code is mapped from files.
                std::os::unix::fs::chroot(&path).context("cannot change the root")?;
                std::env::set_current_dir("/")?;
                Ok(run)
            });
            let (mut run, outcome) = match made {
                Ok(run) => (Some(run), Ok(())),
                Err(error) => (None, Err(error)),
            };
            if outcomes.send(outcome).is_err() {
                return;
            }
            while let (Some(run), Ok(input)) = (&mut run, taken.recv()) {
                run(&input);
                if outcomes.send(Ok(())).is_err() {
                    return;
                }
            }
        });
        done.recv().context("the target could not be set up")??;
        Ok(Self { inputs: Some(inputs), done, thread: Some(thread), _root: root })
    }

    /// Runs one input to its end.
    ///
    /// # Errors
    /// When the target panicked; the panic was printed.
    pub fn run(&self, input: &[u8]) -> anyhow::Result<()> {
        let inputs = self.inputs.as_ref().context("the target has ended")?;
        inputs.send(input.into()).map_err(|_| anyhow!("the target is gone"))?;
        self.done.recv().context("the target panicked")?
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.inputs.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been printed already.
            let _ = thread.join();
        }
    }
}

/// Enters a network namespace with only a loopback interface, and leaves the root that threads share.
fn leave() -> anyhow::Result<()> {
    let both = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_FS;
    unshare(both).context("cannot leave the host's network; this needs root")?;
    // A child of this thread is in this thread's network namespace.
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("cannot run ip")?;
    ensure!(up.success(), "cannot bring the loopback interface up");
    Ok(())
}
