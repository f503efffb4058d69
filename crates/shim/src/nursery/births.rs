//! The lives of the processes that the nursery bears. Each ends here; none goes back to the loop.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, bail};
use container::birth;
use container::channel::Channel;
use container::hooks::Starter;
use container::namespaces::Namespaces;
use container::{hooks, native, privileges, wasm_box};
use engine::{Compiled, Exit, Loaded};
use workload::{Format, Workload, World};

use super::serve::Inheritance;
use crate::payload::{Order, Report, Request, WasmPayload, read};

/// Lives the life that `request` asks for, and ends the process.
pub fn live(request: &Request, line: Channel, fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> ! {
    let life = AssertUnwindSafe(|| match request {
        Request::Wasm(namespaces) => wasm(namespaces, line, fds, inheritance),
        _ => errand(request, &line, fds, inheritance),
    });
    // A panic must not unwind into the nursery's loop, whose copy this process is.
    birth::exit_now(catch_unwind(life).unwrap_or(PANICKED))
}

/// The status of a process that ended by a fault of this program: EX_SOFTWARE.
const PANICKED: i32 = 70;

/// The status of a container whose `startContainer` hook failed: what libcontainer ends with.
const HOOK_FAILED: i32 = 1;

fn errand(request: &Request, line: &Channel, fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> i32 {
    // Whose daemon is gone must not go on to make what nobody would know of.
    if rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return PANICKED;
    }
    let report = do_errand(request, fds, inheritance).unwrap_or_else(failed);
    // When the daemon is gone nobody is left to tell.
    line.send(&report, &[]).map_or(1, |()| 0)
}

fn do_errand(
    request: &Request,
    mut fds: VecDeque<OwnedFd>,
    inheritance: &Inheritance,
) -> anyhow::Result<Report> {
    if let Request::Prepare { format, function } = request {
        let (wasm, output) = (take(&mut fds)?, take(&mut fds)?);
        return compile(*format, function.as_deref(), wasm.into(), output.into(), inheritance)
            .map(Report::Prepared);
    }
    let workload: Workload = read(take(&mut fds)?)?;
    match request {
        Request::NativeCreate => {
            let stdio = [take(&mut fds)?, take(&mut fds)?, take(&mut fds)?];
            native::create(&workload, stdio).map(Report::Created)
        }
        Request::NativeStart => native::start(&workload).map(|()| Report::Done),
        Request::NativeDelete => native::delete(&workload).map(|()| Report::Done),
        Request::Hooks { moment, pid } => hooks::run(&workload, *moment, *pid).map(|()| Report::Done),
        Request::Prepare { .. } | Request::Wasm(_) => bail!("not an errand"),
    }
}

/// Reads what an image holds, in a process whose fall takes nothing along.
fn compile(
    format: Format,
    function: Option<&str>,
    mut wasm: File,
    mut output: File,
    inheritance: &Inheritance,
) -> anyhow::Result<World> {
    privileges::become_nobody()?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut wasm, &mut bytes).context("cannot read it")?;
    if format == Format::Text {
        bytes = workload::binary_of(&bytes)?;
    }
    let world = World::detect(&bytes, function)?;
    let engine = inheritance.engines.for_world(&world)?;
    output.write_all(&engine.compile(&bytes)?).context("cannot keep the compiled code")?;
    Ok(world)
}

fn wasm(namespaces: &Namespaces, line: Channel, fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> i32 {
    if namespaces.need_midwife() {
        return match deliver(namespaces, &line) {
            Ok(true) => 0,
            Ok(false) => guest(namespaces, line, fds, inheritance),
            Err(error) => report_failure(&line, error),
        };
    }
    guest(namespaces, line, fds, inheritance)
}

/// Enters what must be entered first and gives birth to the box. `false` in the box.
fn deliver(namespaces: &Namespaces, line: &Channel) -> anyhow::Result<bool> {
    namespaces.enter_before_birth()?;
    let Some(born) = birth::sibling(namespaces.new).context("cannot make a process")? else {
        return Ok(false);
    };
    line.send(&Report::Delivered(born.pid), &[born.pidfd.as_fd()])?;
    Ok(true)
}

fn guest(namespaces: &Namespaces, line: Channel, fds: VecDeque<OwnedFd>, inheritance: &Inheritance) -> i32 {
    let (loaded, starter) = match box_and_load(namespaces, &line, fds, inheritance) {
        Ok(ready) => ready,
        Err(error) => return report_failure(&line, error),
    };
    if line.send(&Report::Ready, &[]).is_err() || !matches!(line.receive(), Ok(Some((Order::Go, _)))) {
        // Deleted at the gate, or the daemon is gone.
        return 128 + libc::SIGKILL;
    }
    if let Some(starter) = starter {
        let done = starter.run();
        let failed = done.is_err();
        // When the daemon is gone nobody is left to tell.
        let _ = line.send(&done.map_or_else(self::failed, |()| Report::Done), &[]);
        if failed {
            return HOOK_FAILED;
        }
    }
    drop(line);
    let exit = loaded.run();
    if let Exit::Trap(message) = &exit {
        explain(message);
    }
    i32::from(exit.status())
}

fn box_and_load(
    namespaces: &Namespaces,
    line: &Channel,
    mut fds: VecDeque<OwnedFd>,
    inheritance: &Inheritance,
) -> anyhow::Result<(Box<dyn Loaded>, Option<Starter>)> {
    let WasmPayload { workload, guest } = read(take(&mut fds)?)?;
    let code = File::from(take(&mut fds)?);
    wasm_box::take_stdio([take(&mut fds)?, take(&mut fds)?, take(&mut fds)?])?;
    wasm_box::join(namespaces)?;
    line.send(&Report::Joined, &[])?;
    let Some((Order::Enter, _)) = line.receive()? else { bail!("the container was given up") };
    #[expect(unsafe_code, reason = "bytes become code here")]
    // SAFETY: the daemon sealed this file after our own compiler had written it in this nursery's
    // other child, and it reached us through a socket that only the two hold.
    let code = unsafe { Compiled::vouched(code) };
    let mapped = inheritance.engines.for_world(&guest.world)?.map(code, &guest.world)?;
    let starter = wasm_box::build(&workload, namespaces)?;
    wasm_box::give_up_power(&workload, &inheritance.filter)?;
    Ok((mapped.load(guest)?, starter))
}

/// Tells people why a guest trapped: on its standard error and where `kubectl describe` looks.
fn explain(message: &str) {
    let text = format!("{}\n", message.trim_end());
    // Nobody is left to tell if these fail; the exit status still says it trapped.
    let _ = std::io::stderr().write_all(text.as_bytes());
    // A fifo that the guest put there must not hold its own end up.
    let log = File::options().append(true).custom_flags(libc::O_NONBLOCK).open("/dev/termination-log");
    if let Ok(mut log) = log {
        let _ = log.write_all(text.as_bytes());
    }
}

fn report_failure(line: &Channel, error: anyhow::Error) -> i32 {
    line.send(&failed(error), &[]).map_or(1, |()| 0)
}

/// One sentence, short enough for a message.
fn failed(error: anyhow::Error) -> Report {
    const ENOUGH: usize = 8 << 10;
    let mut sentence = format!("{error:#}");
    if let Some((cut, _)) = sentence.char_indices().find(|(at, _)| *at >= ENOUGH) {
        sentence.truncate(cut);
        sentence.push('…');
    }
    Report::Failed(sentence)
}

fn take(fds: &mut VecDeque<OwnedFd>) -> anyhow::Result<OwnedFd> {
    fds.pop_front().context("a request came without all its descriptors")
}
