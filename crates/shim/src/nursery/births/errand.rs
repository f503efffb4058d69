//! Errands: processes that do one thing that the daemon must not do itself, report, and end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, bail};
use container::channel::Channel;
use container::entrypoint::LARGEST_WASM;
use container::{compiler, hooks, native};
use workload::{Format, Outline, World};

use super::telling::{PANICKED, go_in, report_failure, sentence};
use crate::nursery::inheritance::Inheritance;
use crate::payload::{Prepare, Prepared, Report, Request, TerminalFd, send};

/// Does what `request` asks for, and reports it.
pub fn run(request: Request<OwnedFd>, line: &Channel, inheritance: &Inheritance) -> i32 {
    if end_with_daemon().is_err() {
        return PANICKED;
    }
    do_it(request, line, inheritance).map_or_else(|error| report_failure(line, error), |()| 0)
}

/// Whose daemon is gone must not go on to make what nobody would know of.
fn end_with_daemon() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

fn do_it(request: Request<OwnedFd>, line: &Channel, inheritance: &Inheritance) -> anyhow::Result<()> {
    match request {
        Request::Prepare(prepare) => return Ok(send(line, compile(prepare, line, inheritance)?)?),
        // The note is held by this process and those that libcontainer forks, until they execute.
        Request::NativeCreate { workload, stdio, note: _note } => {
            let (pid, terminal) = native::create(&workload.read()?, stdio.in_order())?;
            let terminal = terminal.as_ref().map(|terminal| TerminalFd(terminal.as_fd()));
            return Ok(send(line, Report::Created(pid, terminal))?);
        }
        Request::NativeStart(workload) => native::start(&workload.read()?)?,
        Request::NativeDelete(workload) => native::delete(&workload.read()?)?,
        Request::Hooks { moment, pid, workload } => hooks::run(&workload.read()?, moment, pid)?,
        other => bail!("{other:?} is not an errand"),
    }
    Ok(send(line, Report::Done)?)
}

/// Compiles, where nothing can be reached but what is handed over.
fn compile(
    asked: Prepare<OwnedFd>,
    line: &Channel,
    inheritance: &Inheritance,
) -> anyhow::Result<Report<BorrowedFd<'static>>> {
    let Prepare { format, function, memory, engine, engines, cgroup, wasm, output, spill } = asked;
    go_in(cgroup)?;
    compiler::enter_box(memory)?;
    let compiled = || {
        let wasm = binary(format, wasm.0.into())?;
        let outline = Outline::of(&wasm)?;
        // The daemon ends it where the container asks its world for what cannot be.
        send(line, Report::Outlined(outline.clone()))?;
        let world = World::of(&outline, function.as_deref())?;
        let engine = inheritance.engines.choose(&world, engine.as_ref(), engines.as_deref())?;
        let code = engine.compile(&wasm, &world)?;
        anyhow::Ok((code, Prepared { outline, engine: engine.name().to_owned() }))
    };
    let (code, prepared) = match compiled() {
        Ok(compiled) => compiled,
        // What the kernel refuses is the node's trouble, and passes.
        Err(error) if error.chain().any(|cause| cause.is::<std::io::Error>()) => return Err(error),
        Err(error) => return Ok(Report::Unfit(sentence(error))),
    };
    let Err(error) = File::from(output.0).write_all(&code) else { return Ok(Report::Prepared(prepared)) };
    // It is not compiled again for want of space on a disk.
    let why = format!("cannot write the compiled code: {error}");
    let spill = spill.context("no file was handed over for it").with_context(|| why.clone())?;
    File::from(spill.0).write_all(&code).context(why)?;
    Ok(Report::Spilled(prepared, error.to_string()))
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
