//! A thread in which an input can do no harm: its root is an empty folder, its network has nobody in it.

use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::Target;

/// A target in a thread of its own. Takes root's rights.
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
    /// # Errors
    /// What the target or the kernel says.
    pub fn new(target: Target) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let path = root.path().to_owned();
        let (inputs, taken) = sync_channel::<Vec<u8>>(0);
        let (tell, done) = sync_channel(0);
        let thread = thread::spawn(move || {
            let made = leave().and_then(|()| target()).and_then(|run| {
                // After it was made: code is mapped out of files.
                std::os::unix::fs::chroot(&path).context("cannot change the root")?;
                std::env::set_current_dir("/")?;
                Ok(run)
            });
            let (mut run, outcome) = match made {
                Ok(run) => (Some(run), Ok(())),
                Err(error) => (None, Err(error)),
            };
            if tell.send(outcome).is_err() {
                return;
            }
            while let (Some(run), Ok(input)) = (&mut run, taken.recv()) {
                run(&input);
                if tell.send(Ok(())).is_err() {
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
    /// When the target panicked; where and why was printed.
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
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Leaves the host's network for one with a loopback interface alone, and the root that threads share.
fn leave() -> anyhow::Result<()> {
    let both = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_FS;
    unshare(both).context("cannot leave the host's network; this takes root's rights")?;
    // A child of this thread's is in this thread's network.
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("cannot run ip")?;
    ensure!(up.success(), "cannot bring the loopback interface up");
    Ok(())
}
