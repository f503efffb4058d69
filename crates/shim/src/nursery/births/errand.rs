//! Errands: processes that do one thing that the daemon must not do itself, report, and end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Error, bail};
use container::channel::Channel;
use container::entrypoint::LARGEST_WASM;
use container::{compiler, hooks, native};
use workload::{Format, Outline, Workload, World};

use super::{PANICKED, failed, go_in, sentence, take, take_entry, take_three};
use crate::nursery::serve::Inheritance;
use crate::payload::{Report, Request, read};

/// Does what `request` asks for, and reports it.
pub fn run(request: &Request, line: &Channel, fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> i32 {
    if end_with_daemon().is_err() {
        return PANICKED;
    }
    let (report, attached) = do_it(request, fds, inheritance).unwrap_or_else(|error| (failed(error), None));
    let attached: Vec<_> = attached.iter().map(AsFd::as_fd).collect();
    // When the daemon is gone nobody is left to tell.
    line.send(&report, &attached).map_or(1, |()| 0)
}

/// Whose daemon is gone must not go on to make what nobody would know of.
fn end_with_daemon() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

fn do_it(
    request: &Request,
    mut fds: VecDeque<OwnedFd>,
    inheritance: &Inheritance,
) -> anyhow::Result<(Report, Option<OwnedFd>)> {
    if let Request::Prepare { .. } = request {
        return Ok((prepare(request, fds, inheritance)?, None));
    }
    let workload: Workload = read(take(&mut fds)?)?;
    match request {
        Request::NativeCreate => {
            let stdio = take_three(&mut fds)?;
            // Held by this process and those that libcontainer forks, until they execute.
            let _making = take(&mut fds)?;
            let (pid, terminal) = native::create(&workload, stdio)?;
            return Ok((Report::Created(pid), terminal));
        }
        Request::NativeStart => native::start(&workload)?,
        Request::NativeDelete => native::delete(&workload)?,
        Request::Hooks { moment, pid } => hooks::run(&workload, *moment, *pid)?,
        other => bail!("{other:?} is not an errand"),
    }
    Ok((Report::Done, None))
}

/// Compiles, where nothing can be reached but what is handed over.
fn prepare(
    request: &Request,
    mut fds: VecDeque<OwnedFd>,
    inheritance: &Inheritance,
) -> anyhow::Result<Report> {
    let Request::Prepare { format, function, memory, engine, engines, cgroup } = request else {
        bail!("{request:?} is not a compiler's")
    };
    go_in(*cgroup, take_entry(*cgroup, &mut fds))?;
    let (wasm, mut outputs) = (take(&mut fds)?, fds.into_iter().map(File::from));
    compiler::enter_box(*memory)?;
    let compiled = || {
        let wasm = binary(*format, wasm.into())?;
        let outline = Outline::of(&wasm)?;
        let world = World::of(&outline, function.as_deref())?;
        let engine = inheritance.engines.choose(&world, engine.as_ref(), engines.as_deref())?;
        anyhow::Ok((engine.compile(&wasm, &world)?, outline))
    };
    let (code, outline) = match compiled() {
        Ok(compiled) => compiled,
        // What the kernel refuses is the node's trouble, and passes.
        Err(error) if error.chain().any(|cause| cause.is::<std::io::Error>()) => return Err(error),
        Err(error) => return Ok(Report::Unfit(sentence(error))),
    };
    let mut write =
        || outputs.next().context("no file was handed over for it")?.write_all(&code).map_err(Error::from);
    match write() {
        Ok(()) => Ok(Report::Prepared(outline)),
        // It is not compiled again for want of space on a disk.
        Err(error) => {
            write().with_context(|| format!("cannot write the compiled code: {error:#}"))?;
            Ok(Report::Spilled(outline, format!("{error:#}")))
        }
    }
}

/// Reads what an image holds, in a process whose fall takes nothing along.
fn binary(format: Format, wasm: File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    wasm.take(LARGEST_WASM + 1).read_to_end(&mut bytes).context("cannot read it")?;
    if bytes.len() as u64 > LARGEST_WASM {
        bail!("it grew beyond {LARGEST_WASM} bytes while it was read; run it when it is written whole");
    }
    Ok(if format == Format::Text { workload::binary_of(&bytes)? } else { bytes })
}
