//! Compiles a module: in one of the node's places for compilers, within limits, until its container is cancelled.

use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use anyhow::{Error, anyhow, bail};
use container::cgroup::Entry;
use container::places::{self, CompileSlot};
use container::source::Source;
use thiserror::Error;
use workload::{Guest, Options, Outline, Workload, World};

use crate::blocking::blocking;
use crate::nursery::{Nursery, Silent};
use crate::payload::{Entrance, NurseryRequest, OutputFd, Prepare, Prepared, Report, SpillFd, WasmFd};

/// The default limits on compiling one module: memory in MiB, and time in seconds.
const MIB: u64 = 4096;
const SECONDS: u64 = 120;
/// The range of the default number of modules that are compiled at once on the node. One compiler keeps every core busy
/// for most of its time, so more of them are not faster; two at least, so that a small module does not wait for a large
/// one.
const JOBS: std::ops::RangeInclusive<u64> = 2..=4;
/// The interval of polling for a free place.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The module cannot be compiled: a retry with the same options would fail the same way.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// The limits on compiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub mib: u64,
    pub seconds: u64,
    jobs: u64,
}

impl Bounds {
    /// Those of the options, and the defaults for the others.
    pub fn of(options: &Options) -> Self {
        let or_default = |option, default| if option == 0 { default } else { option };
        let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        Self {
            mib: or_default(options.compile_mib, MIB),
            seconds: or_default(options.compile_seconds, SECONDS),
            jobs: or_default(options.compile_jobs, cores.div_ceil(2).clamp(*JOBS.start(), *JOBS.end())),
        }
    }

    fn memory(self) -> u64 {
        self.mib.saturating_mul(1 << 20)
    }
}

/// Runs an errand that reads, checks and compiles `source` into `output`, or into `spill` if `output` cannot be
/// written, unless `given_up` resolves before. Also returns why `output` was not used.
///
/// # Errors
/// [`Unfit`], or any other error.
pub async fn compile(
    nursery: &Nursery,
    workload: &Workload,
    source: &Source,
    (output, spill): (OutputFd<BorrowedFd<'_>>, Option<SpillFd<BorrowedFd<'_>>>),
    mut given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<(Prepared, Option<String>)> {
    let bounds = Bounds::of(&workload.options);
    let (place, entry) = tokio::select! {
        taken = take_place(bounds) => taken?,
        () = given_up.as_mut() => return Err(cancelled()),
    };
    let request = NurseryRequest::Prepare(Prepare {
        format: source.format,
        function: workload.entrypoint.function.clone(),
        memory: bounds.memory(),
        engine: workload.engine(),
        engines: workload.options.engines.clone(),
        cgroup: Entrance::of(&entry)?,
        wasm: WasmFd(source.file.as_fd()),
        output,
        spill,
    });
    let stopped = async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(bounds.seconds)) => Unfit(format!(
                "compiling it takes longer than {} s; the option CompileSeconds allows more", bounds.seconds
            )).into(),
            () = given_up => cancelled(),
        }
    };
    match nursery.errand_until(stopped, |outline| settings_fit(workload, outline), request).await {
        Ok(Report::Prepared(prepared)) => Ok((prepared, None)),
        Ok(Report::Spilled(prepared, why)) => Ok((prepared, Some(why))),
        Ok(Report::Unfit(sentence)) => Err(Unfit(sentence).into()),
        Ok(other) => bail!("the compiler's process said {other:?}"),
        Err(error) => Err(match error.downcast::<Silent>() {
            Ok(silent) => explained(silent, &place, bounds),
            Err(other) => other,
        }),
    }
}

/// Checks the container's settings against the module's world, before the module is compiled.
fn settings_fit(workload: &Workload, outline: &Outline) -> anyhow::Result<()> {
    match World::of(outline, workload.entrypoint.function.as_deref()) {
        Ok(world) => Ok(Guest::of(workload, world).map(drop)?),
        // The compiler reports this error, so that it is kept.
        Err(_) => Ok(()),
    }
}

async fn take_place(bounds: Bounds) -> anyhow::Result<(CompileSlot, Entry)> {
    loop {
        match blocking(move || places::take(bounds.jobs, bounds.memory())).await? {
            Some(taken) => return Ok(taken),
            None => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// Why a compiler ended without a report. The kernel may also kill it because other processes need memory.
fn explained(silent: Silent, place: &CompileSlot, bounds: Bounds) -> Error {
    const KILLED: u32 = 128 + libc::SIGKILL.cast_unsigned();
    if silent.status == KILLED && !place.ran_out() {
        return anyhow!(silent).context(
            "its compiler was killed; where the node has too little memory for all that it compiles at once, the \
             option CompileJobs allows fewer",
        );
    }
    let why = format!(
        "it cannot be compiled in {} MiB of memory, or the compiler fails; the option CompileMib allows more",
        bounds.mib
    );
    Unfit(format!("{why}: {silent}")).into()
}

fn cancelled() -> Error {
    anyhow!("its container was given up while it was compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_the_bounds() {
        let default = Bounds::of(&Options::default());
        assert_eq!((default.mib, default.seconds, JOBS.contains(&default.jobs)), (4096, 120, true));
        let options = Options { compile_mib: 7, compile_seconds: 8, compile_jobs: 9, ..Options::default() };
        assert_eq!(Bounds::of(&options), Bounds { mib: 7, seconds: 8, jobs: 9 });
    }
}
