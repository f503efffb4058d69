//! Policies compiled by Open Policy Agent (`opa build -t wasm`): they answer queries over HTTP, or a single one.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Outline, Shape, WorldError};
use crate::http::Defaults;
use crate::settings::SettingError;
use crate::{Http, OnceSettings, Workload};

/// Identifies a policy: the version of its ABI, an exported global.
const VERSION: &str = "opa_wasm_abi_version";
/// The ABI's function that evaluates a query, since version 1.2.
const EVAL: &str = "opa_eval";
const OLD: &str = "it is a policy that OPA older than 0.28 compiled; compile it with a later one";
/// Where OPA's own server listens.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8181);

/// A compiled policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opa {
    /// The entrypoint to evaluate once, if the user named one after `#`.
    pub entrypoint: Option<String>,
}

/// What the process of a policy does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Evaluate this entrypoint once, with standard input as the input.
    Evaluate(String, OnceSettings),
    /// Answer queries over HTTP.
    Serve(Http),
}

impl Opa {
    /// `None` if it is not a policy.
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Option<Result<Self, WorldError>> {
        if outline.is_component || !outline.exports_global(VERSION) {
            return None;
        }
        let current = outline.takes_nothing(EVAL).is_some();
        Some(if current {
            Ok(Self { entrypoint: function.map(Into::into) })
        } else {
            Err(WorldError::Outdated(OLD))
        })
    }

    /// Evaluates an entrypoint after `#` or in the first argument once; serves without one.
    pub(super) fn job(self, workload: &Workload) -> Result<Job, SettingError> {
        let argument = || workload.process().args().as_ref()?.get(1).cloned();
        Ok(match self.entrypoint.or_else(argument) {
            Some(entrypoint) => Job::Evaluate(entrypoint, OnceSettings::of(workload.process())),
            // Resetting its heap makes a policy forget earlier queries.
            None => Job::Serve(Http::of(workload, Defaults { address: ADDRESS, reuse: u64::MAX })?),
        })
    }
}

impl Job {
    pub(super) fn world(&self) -> Opa {
        Opa {
            entrypoint: match self {
                Self::Evaluate(entrypoint, _) => Some(entrypoint.clone()),
                Self::Serve(_) => None,
            },
        }
    }

    pub(super) fn shape(&self) -> Shape<'_> {
        match self {
            Self::Evaluate(_, once) => Shape::RunsOnce(once),
            Self::Serve(http) => Shape::AnswersRequests(http),
        }
    }
}
