//! The list of worlds of core modules that are implemented once for every engine, in the crate `worlds`.

use serde::{Deserialize, Serialize};

use super::opa::{self, Opa};
use super::{Outline, Shape, WorldError};
use crate::Workload;
use crate::settings::SettingError;

/// A world for every engine that runs core modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hosted {
    /// A policy compiled by Open Policy Agent.
    Opa(Opa),
}

/// The same, with the world's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostedJob {
    /// See [`Hosted::Opa`].
    Opa(opa::Job),
}

impl Hosted {
    /// `None` if none of them fits.
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Option<Result<Self, WorldError>> {
        Opa::of(outline, function).map(|world| world.map(Self::Opa))
    }

    pub(super) fn job(self, workload: &Workload) -> Result<HostedJob, SettingError> {
        match self {
            Self::Opa(world) => world.job(workload).map(HostedJob::Opa),
        }
    }
}

impl HostedJob {
    pub(super) fn world(&self) -> Hosted {
        match self {
            Self::Opa(job) => Hosted::Opa(job.world()),
        }
    }

    /// The shape of its process.
    pub fn shape(&self) -> Shape<'_> {
        match self {
            Self::Opa(job) => job.shape(),
        }
    }
}
