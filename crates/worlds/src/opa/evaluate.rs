//! Runs one query: its input from standard input, its result to standard output.

use std::io::{Read as _, Write as _};

use anyhow::Context;
use engine::{Exit, Loaded, Stopped};
use serde_json::value::RawValue;
use tokio::runtime::Builder;

use super::Source;
use super::policy::Failed;
use super::rest::document;

/// A policy that is ready to answer one query.
pub struct SingleQuery {
    pub source: Source,
    pub entrypoint: String,
}

impl Loaded for SingleQuery {
    fn run(self: Box<Self>) -> Exit {
        self.run_query().map_or_else(ended, |()| Exit::Code(0))
    }
}

/// The exit of a guest whose policy failed.
pub fn ended(error: anyhow::Error) -> Exit {
    match error.downcast::<Failed>() {
        Ok(Failed::Stopped(Stopped::OutOfMemory(story))) => Exit::OutOfMemory(story),
        Ok(Failed::Stopped(stopped)) => Exit::Trap(stopped.to_string()),
        Ok(failed) => reported(&failed.into()),
        Err(error) => reported(&error),
    }
}

/// Reports the error to standard error, and fails.
fn reported(error: &anyhow::Error) -> Exit {
    // If this fails, the exit status still reports the failure.
    let _ = writeln!(std::io::stderr(), "{error:#}");
    Exit::Code(1)
}

/// The document on standard input; `None` if it is empty.
fn input() -> anyhow::Result<Option<Vec<u8>>> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).context("cannot read the input")?;
    if input.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice::<&RawValue>(&input).context("the input on standard input is not JSON")?;
    Ok(Some(input))
}

impl SingleQuery {
    fn run_query(self) -> anyhow::Result<()> {
        let Self { source, entrypoint } = self;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.context("cannot set up the guest's event loop")?;
        let mut policy = runtime.block_on(source.make())?;
        let known = || policy.entrypoints.keys().cloned().collect::<Vec<_>>().join(", ");
        let number = policy.entrypoints.get(&entrypoint).copied();
        let number =
            number.with_context(|| format!("it has no entrypoint {entrypoint:?} (it has {})", known()))?;
        let input = input()?;
        let result = runtime.block_on(policy.evaluate(number, input.as_deref()))?;
        writeln!(std::io::stdout(), "{}", document(result.as_ref())).context("cannot write the result")
    }
}
