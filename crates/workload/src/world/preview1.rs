//! Core modules on WASI preview 1: commands and reactors, also with WasmEdge's sockets.

use serde::{Deserialize, Serialize};

use super::{Outline, Start, WorldError};
use crate::preview1::{offers, offers_socket};
use crate::settings::{ContainerSettings, SettingError};
use crate::{OnceSettings, Workload};

/// The prefix of preview 0's imports.
const PREVIEW_0: &str = "wasi_unstable::";
const PREVIEW_0_IS_OLD: &str =
    "it is built for preview 0 of WASI, wasi_unstable; build it for preview 1, as wasm32-wasip1 is";

/// A core module on `wasi_snapshot_preview1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview1 {
    /// Where it starts.
    pub start: Start,
    /// Whether it also imports WasmEdge's sockets.
    pub sockets: bool,
    /// Whether it polls the sockets that it is handed and never blocks on one, as Go's runtime does, which has one
    /// thread for the whole program.
    pub polls: bool,
    /// Imports that preview 1 lacks, as `module::name`: an engine may offer them from elsewhere.
    pub foreign: Vec<String>,
}

impl Preview1 {
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Result<Self, WorldError> {
        if outline.shared_memory {
            return Err(WorldError::SharedMemory);
        }
        if outline.imports.iter().any(|import| import.starts_with(PREVIEW_0)) {
            return Err(WorldError::Outdated(PREVIEW_0_IS_OLD));
        }
        let start = match function {
            Some(name) => outline.function(name)?,
            None => {
                outline.takes_nothing("_start").ok_or_else(|| outline.no_start("_start"))??;
                Start::Command
            }
        };
        let foreign = |import: &&String| !offers(import) && !offers_socket(import);
        Ok(Self {
            start,
            sockets: outline.imports.iter().any(|import| offers_socket(import)),
            polls: outline.is_go,
            foreign: outline.imports.iter().filter(foreign).cloned().collect(),
        })
    }

    /// The settings of a guest that may be handed sockets.
    pub(super) fn once(&self, workload: &Workload) -> Result<OnceSettings, SettingError> {
        let mut once = OnceSettings::of(workload.process());
        let mut waits = !self.polls;
        if let Some(setting) = ContainerSettings::of(workload).get("tcp-listen") {
            let (listens, blocks) = setting.listens()?;
            once.listens = listens;
            waits = blocks.unwrap_or(waits);
        }
        once.accepts_nonblocking = !waits;
        Ok(once)
    }

    /// The imports that are not offered, as `env::f, env::g`; `has` returns whether a module of that name is offered.
    pub fn unmet(&self, has: impl Fn(&str) -> bool) -> Option<String> {
        let from = |import: &str| import.split_once("::").map_or("", |(module, _)| module).to_owned();
        let unmet: Vec<_> = self.foreign.iter().filter(|import| !has(&from(import))).cloned().collect();
        (!unmet.is_empty()).then(|| unmet.join(", "))
    }
}
