//! Policies that Open Policy Agent compiled (`opa build -t wasm`), as OPA itself answers: queries over its REST API, or
//! one query on standard input.
//!
//! The ABI (1.2 and later) is OPA's: the host gives memory, an abort, a print and five ways into its built-in
//! functions; values cross as JSON. `policy` drives an instance, `host` is what it imports, `builtins` are the
//! functions that OPA's compiler leaves to the host, `term` are its values, `documents` is what `data.json` beside the
//! policy holds, with the policy's entrypoints in it, and `rest` is the API.
//!
//! The crate `opa-wasm` has the same for Wasmtime alone: its policies and its built-in functions can be had only
//! through Wasmtime's own types, and what a guest may reach and how much memory it may have is not its to ask.

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
use host::{Host, Outside};
use policy::Policy;
use rest::Rest;

/// What instances of a policy are made of.
struct Source {
    module: Arc<dyn Module<Host>>,
    documents: Documents,
    outside: Outside,
}

impl Source {
    async fn make(&self) -> Result<Policy, policy::Failed> {
        Policy::load(self.module.as_ref(), &self.documents.json, Host::new(self.outside.clone())).await
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
    let source = Source { module, documents, outside: Outside::new(Egress::of(guest), &guest.env) };
    Ok(match job {
        Job::Evaluate(entrypoint, _) => Box::new(evaluate::Once { source, entrypoint }),
        Job::Serve(http) => {
            let socket = sockets.pop().context("no socket came with it")?;
            let reuse = http.reuse;
            Box::new(Serving { process: Process::new(http, socket, stop)?, source, reuse })
        }
    })
}

/// A policy's server at its gate.
struct Serving {
    process: Process,
    source: Source,
    reuse: u64,
}

impl Loaded for Serving {
    fn run(self: Box<Self>) -> Exit {
        let Self { process, source, reuse } = *self;
        let rest = match Rest::begin(source, reuse) {
            Ok(rest) => rest,
            Err(error) => return evaluate::ended(error),
        };
        process.run(rest).map_or_else(|error| Exit::Trap(format!("{error:#}")), Exit::Code)
    }
}
