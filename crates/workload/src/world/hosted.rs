//! The worlds of core modules that are written once for every engine, in the crate `worlds`: the list of them.

use serde::{Deserialize, Serialize};

use super::opa::{self, Opa};
use super::{Outline, Shape, WorldError};
use crate::Workload;
use crate::wishes::WishError;

/// A world that any engine runs which runs core modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hosted {
    /// A policy that Open Policy Agent's compiler made.
    Opa(Opa),
}

/// The same, with the settings that the world has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostedJob {
    /// See [`Hosted::Opa`].
    Opa(opa::Job),
}

impl Hosted {
    /// `None` where none of them fits.
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Option<Result<Self, WorldError>> {
        Opa::of(outline, function).map(|world| world.map(Self::Opa))
    }

    pub(super) fn job(self, workload: &Workload) -> Result<HostedJob, WishError> {
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

    /// The process that it takes.
    pub fn shape(&self) -> Shape<'_> {
        match self {
            Self::Opa(job) => job.shape(),
        }
    }
}
