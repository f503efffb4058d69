//! Errands: processes that do one task that the daemon must not do itself, report the result, and exit.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, bail};
use container::channel::Channel;
use container::entrypoint::LARGEST_WASM;
use container::{compiler, hooks, native};
use workload::{Format, Outline, World};

use super::report::{PANICKED, enter_cgroup, report_failure, sentence};
use crate::nursery::inheritance::Inheritance;
use crate::payload::{NurseryRequest, Prepare, Prepared, Report, TerminalFd, send};

/// Runs the errand `request`, and reports its result.
pub fn run(request: NurseryRequest<OwnedFd>, line: &Channel, inheritance: &Inheritance) -> i32 {
    if end_with_daemon().is_err() {
        return PANICKED;
    }
    perform(request, line, inheritance).map_or_else(|error| report_failure(line, error), |()| 0)
}

/// An errand must not outlive its daemon: no one would know of what it makes.
fn end_with_daemon() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}

fn perform(
    request: NurseryRequest<OwnedFd>,
    line: &Channel,
    inheritance: &Inheritance,
) -> anyhow::Result<()> {
    match request {
        NurseryRequest::Prepare(prepare) => return Ok(send(line, compile(prepare, line, inheritance)?)?),
        // This process and those that libcontainer forks hold the locked record until they call execve.
        NurseryRequest::NativeCreate { workload, stdio, note: _note } => {
            let (pid, terminal) = native::create(&workload.read()?, stdio.in_order())?;
            let terminal = terminal.as_ref().map(|terminal| TerminalFd(terminal.as_fd()));
            return Ok(send(line, Report::Created(pid, terminal))?);
        }
        NurseryRequest::NativeStart(workload) => native::start(&workload.read()?)?,
        NurseryRequest::NativeDelete(workload) => native::delete(&workload.read()?)?,
        NurseryRequest::Hooks { moment, pid, workload } => hooks::run(&workload.read()?, moment, pid)?,
        other => bail!("{other:?} is not an errand"),
    }
    Ok(send(line, Report::Done)?)
}

/// Compiles in a box from which only the descriptors of the request are accessible.
fn compile(
    request: Prepare<OwnedFd>,
    line: &Channel,
    inheritance: &Inheritance,
) -> anyhow::Result<Report<BorrowedFd<'static>>> {
    let Prepare { format, function, memory, engine, engines, cgroup, wasm, output, spill } = request;
    enter_cgroup(cgroup)?;
    compiler::enter_box(memory)?;
    let compiled = || {
        let wasm = binary(format, wasm.0.into())?;
        let outline = Outline::of(&wasm)?;
        // The daemon kills this process if the container's settings do not fit the module's world.
        send(line, Report::Outlined(outline.clone()))?;
        let world = World::of(&outline, function.as_deref())?;
        let engine = inheritance.engines.choose(&world, engine.as_ref(), engines.as_deref())?;
        let code = engine.compile(&wasm, &world)?;
        anyhow::Ok((code, Prepared { outline, engine: engine.name().to_owned() }))
    };
    let (code, prepared) = match compiled() {
        Ok(compiled) => compiled,
        // An I/O error is a problem of the node, and may not happen again.
        Err(error) if error.chain().any(|cause| cause.is::<std::io::Error>()) => return Err(error),
        Err(error) => return Ok(Report::Unfit(sentence(error))),
    };
    let Err(error) = File::from(output.0).write_all(&code) else { return Ok(Report::Prepared(prepared)) };
    // If the disk is full, the code is not compiled again.
    let why = format!("cannot write the compiled code: {error}");
    let spill = spill.context("no file was handed over for it").with_context(|| why.clone())?;
    File::from(spill.0).write_all(&code).context(why)?;
    Ok(Report::Spilled(prepared, error.to_string()))
}

/// Reads the Wasm and converts text to binary. A crash affects only this process.
fn binary(format: Format, wasm: File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    wasm.take(LARGEST_WASM + 1).read_to_end(&mut bytes).context("cannot read it")?;
    if bytes.len() as u64 > LARGEST_WASM {
        bail!("it grew beyond {LARGEST_WASM} bytes while it was read; run it when it is written whole");
    }
    Ok(if format == Format::Text { workload::binary_of(&bytes)? } else { bytes })
}
