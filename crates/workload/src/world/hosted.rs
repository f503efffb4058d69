//! The worlds of core modules that are written once for every engine, in the crate `worlds`: the list of them.

use serde::{Deserialize, Serialize};

use super::{Outline, Shape, WorldError};
use crate::Workload;
use crate::wishes::WishError;

/// A world that any engine runs which runs core modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hosted {}

/// The same, with the settings that the world has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostedJob {}

impl Hosted {
    /// `None` where none of them fits.
    pub(super) fn of(_: &Outline, _function: Option<&str>) -> Option<Result<Self, WorldError>> {
        None
    }

    pub(super) fn job(self, _: &Workload) -> Result<HostedJob, WishError> {
        match self {}
    }
}

impl HostedJob {
    pub(super) fn world(&self) -> Hosted {
        match *self {}
    }

    /// The process that it takes.
    pub fn shape(&self) -> Shape<'_> {
        match *self {}
    }
}
