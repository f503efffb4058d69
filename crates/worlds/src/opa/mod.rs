//! Policies compiled by Open Policy Agent (`opa build -t wasm`): they answer queries over OPA's REST API, or one query
//! on standard input, as OPA itself does.
//!
//! The ABI (1.2 and later) is OPA's: the host provides memory, an abort, a print and five imports for built-in
//! functions; values are passed as JSON. `policy` runs an instance, `host` has its imports, `builtins` has the functions
//! that OPA's compiler leaves to the host, `term` has its values, `documents` has the data of `data.json` beside the
//! policy, with the policy's entrypoints, and `rest` is the API.
//!
//! The crate `opa-wasm` does the same for Wasmtime alone: its policies and built-in functions are only usable through
//! Wasmtime's own types, and it has no egress rules and no memory limit.

mod builtins;
mod documents;
mod evaluate;
mod host;
mod policy;
mod rest;
mod term;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;
use engine::{Core, Exit, Loaded, Module};
use network::Egress;
use server::Process;
use workload::Guest;
use workload::opa::Job;

use documents::Documents;
use host::{HostAccess, PolicyState};
use policy::Policy;
use rest::Rest;

/// What instances of a policy are created from.
struct Source {
    module: Arc<dyn Module<PolicyState>>,
    documents: Documents,
    outside: HostAccess,
}

impl Source {
    async fn make(&self) -> Result<Policy, policy::Failed> {
        Policy::load(self.module.as_ref(), &self.documents.json, PolicyState::new(self.outside.clone())).await
    }
}

/// See [`crate::load`].
pub(crate) fn load(
    core: impl Core,
    job: Job,
    guest: &Guest,
    mut sockets: Vec<OwnedFd>,
    stop: Option<OwnedFd>,
) -> anyhow::Result<Box<dyn Loaded>> {
    let module = core.link(&host::IMPORTS, host::MIN_PAGES).context("cannot link the policy")?;
    let documents = Documents::beside(guest)?;
    let source = Source { module, documents, outside: HostAccess::new(Egress::of(guest), &guest.env) };
    Ok(match job {
        Job::Evaluate(entrypoint, _) => Box::new(evaluate::SingleQuery { source, entrypoint }),
        Job::Serve(http) => {
            let socket = sockets.pop().context("no socket came with it")?;
            let reuse = http.reuse;
            Box::new(PolicyServer { process: Process::new(http, socket, stop)?, source, reuse })
        }
    })
}

/// A policy's server, ready to run.
struct PolicyServer {
    process: Process,
    source: Source,
    reuse: u64,
}

impl Loaded for PolicyServer {
    fn run(self: Box<Self>) -> Exit {
        let Self { process, source, reuse } = *self;
        let rest = match Rest::begin(source, reuse) {
            Ok(rest) => rest,
            Err(error) => return evaluate::ended(error),
        };
        process.run(rest).map_or_else(|error| Exit::Trap(format!("{error:#}")), Exit::Code)
    }
}
