//! Compiling: at a place of the node's, within bounds, and no longer than somebody waits for it.

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

use crate::apart::apart;
use crate::nursery::{Nursery, Silent};
use crate::payload::{Entrance, OutputFd, Prepare, Prepared, Report, Request, SpillFd, WasmFd};

/// How much memory compiling one module may take, in MiB, and how long, in seconds, unless options say otherwise.
const MIB: u64 = 4096;
const SECONDS: u64 = 120;
/// How many are compiled at once on the node: a compiler has every core busy by itself, for most of its time, so
/// more of them make nothing faster. It is two at least, for a small module not to wait for a large one.
const JOBS: std::ops::RangeInclusive<u64> = 2..=4;
/// How often to look whether a place is free.
const LOOK: Duration = Duration::from_millis(10);

/// It is the module that cannot be compiled: to try again, with the same options, would end the same.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// What compiling may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub mib: u64,
    pub seconds: u64,
    jobs: u64,
}

impl Bounds {
    /// Those that the options name, and the usual for those that they do not.
    pub fn of(options: &Options) -> Self {
        let or_usual = |asked, usual| if asked == 0 { usual } else { asked };
        let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        Self {
            mib: or_usual(options.compile_mib, MIB),
            seconds: or_usual(options.compile_seconds, SECONDS),
            jobs: or_usual(options.compile_jobs, cores.div_ceil(2).clamp(*JOBS.start(), *JOBS.end())),
        }
    }

    fn memory(self) -> u64 {
        self.mib.saturating_mul(1 << 20)
    }
}

/// Has a process of its own read, judge and compile what was found into `output`, into `spill`
/// where that takes no more, unless it is `given_up` before. Returns why it was not the first, too.
///
/// # Errors
/// [`Unfit`], or what else went wrong.
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
        () = given_up.as_mut() => return Err(nobody_waits()),
    };
    let request = Request::Prepare(Prepare {
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
    let over = async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(bounds.seconds)) => Unfit(format!(
                "compiling it takes longer than {} s; the option CompileSeconds allows more", bounds.seconds
            )).into(),
            () = given_up => nobody_waits(),
        }
    };
    match nursery.errand_until(over, |outline| settings_fit(workload, outline), request).await {
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

/// That a container asks for nothing that its guest's world has not, or has otherwise: told before it is compiled.
fn settings_fit(workload: &Workload, outline: &Outline) -> anyhow::Result<()> {
    match World::of(outline, workload.entrypoint.function.as_deref()) {
        Ok(world) => Ok(Guest::of(workload, world).map(drop)?),
        // It is the compiler's to say, and to be remembered.
        Err(_) => Ok(()),
    }
}

async fn take_place(bounds: Bounds) -> anyhow::Result<(CompileSlot, Entry)> {
    loop {
        match apart(move || places::take(bounds.jobs, bounds.memory())).await? {
            Some(taken) => return Ok(taken),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Why a compiler ended without a word. The kernel kills it for the want of others as well.
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

fn nobody_waits() -> Error {
    anyhow!("its container was given up while it was compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_the_bounds() {
        let usual = Bounds::of(&Options::default());
        assert_eq!((usual.mib, usual.seconds, JOBS.contains(&usual.jobs)), (4096, 120, true));
        let asked = Options { compile_mib: 7, compile_seconds: 8, compile_jobs: 9, ..Options::default() };
        assert_eq!(Bounds::of(&asked), Bounds { mib: 7, seconds: 8, jobs: 9 });
    }
}
