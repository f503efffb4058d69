//! The world of a guest: the ABI that it expects of its host, detected by its module's imports and exports and
//! nothing else.
//!
//! A sum type: one variant and one file each, with its detection, the process it needs and its settings. Engines
//! answer for each variant.

mod command;
mod error;
mod hosted;
mod http_handler;
pub mod opa;
mod outline;
mod preview1;

use std::net::SocketAddr;
use std::slice;

use serde::{Deserialize, Serialize};

use crate::http::Defaults;
use crate::settings::SettingError;
use crate::{Http, OnceSettings, Workload};

pub use command::Command;
pub use error::{Exports, WorldError};
pub use hosted::{Hosted, HostedJob};
pub use http_handler::HttpHandler;
pub use outline::Outline;
pub use preview1::Preview1;

/// The ABI that a guest expects of its host, and where it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum World {
    /// A core module on WASI preview 1, which runs once.
    Preview1(Preview1),
    /// A component that runs once, on WASI 0.2 or 0.3.
    Command(Command),
    /// A component that answers HTTP requests, on WASI 0.2 or 0.3.
    HttpHandler(HttpHandler),
    /// A core module of a world that is written once for every engine.
    Hosted(Hosted),
}

/// Where a guest that runs once starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// A command's own start: `_start` of a module, `wasi:cli/run` of a component.
    Command,
    /// An export without parameters; in a module after `_initialize`, if there is one.
    Function(String),
}

/// The WASI version of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wasi {
    /// 0.2.
    P2,
    /// 0.3; it may import all of 0.2 as well.
    P3,
}

/// The shape of a guest's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape<'a> {
    /// It runs from its start to its end, in one thread.
    RunsOnce(&'a OnceSettings),
    /// It answers requests, on several threads, until it is terminated.
    AnswersRequests(&'a Http),
}

/// What a guest's process needs of the kernel beyond the default; its seccomp filter allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Starts threads.
    Threads,
    /// Creates Unix sockets.
    UnixSockets,
}

impl World {
    /// Reads the imports and exports of the binary `wasm`; `function` is what the user put after `#`.
    ///
    /// # Errors
    /// See [`Outline::of`] and [`World::of`].
    pub fn detect(wasm: &[u8], function: Option<&str>) -> Result<Self, WorldError> {
        Self::of(&Outline::of(wasm)?, function)
    }

    /// The world of a guest with this outline, which starts at `function`, or as its ABI defines.
    ///
    /// # Errors
    /// [`WorldError`], a clause that continues "cannot run FILE: …".
    pub fn of(outline: &Outline, function: Option<&str>) -> Result<Self, WorldError> {
        if let Some(hosted) = Hosted::of(outline, function) {
            return hosted.map(Self::Hosted);
        }
        if !outline.is_component {
            return Preview1::of(outline, function).map(Self::Preview1);
        }
        // A component that can answer requests is run for that, even if it could run once as well.
        match HttpHandler::of(outline, function) {
            Some(handler) => handler.map(Self::HttpHandler),
            None => Command::of(outline, function).map(Self::Command),
        }
    }

    /// The job of a guest of `workload`. Reads only the settings that its world has.
    pub(crate) fn job(self, workload: &Workload) -> Result<Job, SettingError> {
        Ok(match self {
            Self::Preview1(world) => {
                let once = world.once(workload)?;
                Job::Preview1(world, once)
            }
            Self::Command(world) => Job::Command(world, OnceSettings::of(workload.process())),
            Self::HttpHandler(world) => Job::HttpHandler(world, Http::of(workload, Defaults::COMPONENTS)?),
            Self::Hosted(world) => Job::Hosted(world.job(workload)?),
        })
    }
}

/// What a guest's process does: its world, with the world's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// See [`World::Preview1`].
    Preview1(Preview1, OnceSettings),
    /// See [`World::Command`].
    Command(Command, OnceSettings),
    /// See [`World::HttpHandler`].
    HttpHandler(HttpHandler, Http),
    /// See [`World::Hosted`].
    Hosted(HostedJob),
}

impl Job {
    /// The world alone.
    pub fn world(&self) -> World {
        match self {
            Self::Preview1(world, _) => World::Preview1(world.clone()),
            Self::Command(world, _) => World::Command(world.clone()),
            Self::HttpHandler(world, _) => World::HttpHandler(world.clone()),
            Self::Hosted(job) => World::Hosted(job.world()),
        }
    }

    /// The shape of its process.
    pub fn shape(&self) -> Shape<'_> {
        match self {
            Self::Preview1(_, once) | Self::Command(_, once) => Shape::RunsOnce(once),
            Self::HttpHandler(_, http) => Shape::AnswersRequests(http),
            Self::Hosted(job) => job.shape(),
        }
    }

    /// The addresses to bind before the guest's box is closed.
    pub fn listens(&self) -> &[SocketAddr] {
        match self.shape() {
            Shape::RunsOnce(once) => &once.listens,
            Shape::AnswersRequests(http) => slice::from_ref(&http.address),
        }
    }

    /// What its process needs of the kernel beyond the default.
    pub fn need(&self) -> Option<Need> {
        match self {
            Self::Preview1(Preview1 { sockets: true, .. }, _) => Some(Need::UnixSockets),
            Self::Preview1(..) | Self::Command(..) => None,
            Self::HttpHandler(..) => Some(Need::Threads),
            // Some engines use a thread of their own for blocking calls.
            Self::Hosted(_) => Some(Need::Threads),
        }
    }

    /// Whether the ABI has a working directory.
    pub(crate) fn has_cwd(&self) -> bool {
        match self {
            Self::Preview1(..) | Self::Hosted(_) => false,
            Self::Command(..) | Self::HttpHandler(..) => true,
        }
    }
}

#[cfg(test)]
mod tests;
