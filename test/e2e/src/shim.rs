//! Direct calls of a shim's daemon, over the protocol that containerd uses.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use containerd_shim_protos::{Client, TaskClient};
use ttrpc::Code;

use crate::containerd::Containerd;

/// One connection.
pub struct Shim {
    /// The task service's methods.
    pub tasks: TaskClient,
}

impl Containerd {
    /// Connects to the daemon that serves container `id`.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(&self, id: &str) -> Result<Shim> {
        let address = self.bundle(id).join("address");
        let address = fs::read_to_string(&address).with_context(|| address.display().to_string())?;
        let client = Client::connect(address.trim()).with_context(|| address.clone())?;
        Ok(Shim { tasks: TaskClient::new(client) })
    }

    /// The bundle of container `id`.
    pub fn bundle(&self, id: &str) -> PathBuf {
        let tasks = self.scope.dir.join("state/io.containerd.runtime.v2.task");
        tasks.join(&self.scope.tag).join(id)
    }
}

/// Checks that a request failed with `code` and a message that contains `words`.
///
/// # Errors
/// Any other answer.
pub fn refused<T: std::fmt::Debug>(answer: ttrpc::Result<T>, code: Code, words: &str) -> Result<()> {
    match answer {
        Err(ttrpc::Error::RpcStatus(status)) => {
            ensure!(status.code() == code, "{:?} instead of {code:?}: {}", status.code(), status.message);
            ensure!(status.message.contains(words), "it says {:?}, not {words:?}", status.message);
            Ok(())
        }
        other => bail!("{other:?} instead of {code:?}"),
    }
}
