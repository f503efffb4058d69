//! The process of a guest: enters its box, waits at its gate, runs the guest and exits.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use container::birth;
use container::channel::Channel;
use container::hooks::Starter;
use container::inside::Inside;
use container::listeners::Listeners;
use container::mounts::Trees;
use container::namespaces::{Namespaces, Opened};
use container::seccomp::Filter;
use container::{ending, privileges, wasm_box};
use engine::{Bound, Compiled, Equipment, Exit, Loaded};
use workload::{Guest, Shape, Workload};

use super::report::{failed, report_failure};
use crate::guest_memory::report_oom;
use crate::nursery::inheritance::Inheritance;
use crate::payload::{
    BoundFd, CodeFd, GuestFiles, OomFd, Order, Payload, Report, Slot, Stdio, received, send,
};

/// The exit status if a `startContainer` hook failed, or an address was in use; libcontainer's init exits with the
/// same.
const NOT_STARTED: i32 = 1;

/// A guest at its gate, and what is done before it runs.
struct Ready {
    loaded: Box<dyn Loaded>,
    starter: Option<Starter>,
    listeners: Listeners,
    /// The event by which to report that it ran out of memory.
    oom_event: OomFd<OwnedFd>,
}

/// The box of a guest.
pub enum Home<'a> {
    /// A new one, which its process builds.
    New(&'a Namespaces, Opened),
    /// An existing one, which it enters.
    Existing(Inside),
}

/// The steps so far with their durations in microseconds, for the daemon's log, and the start of the current step.
struct Steps(Instant, Vec<(String, u64)>);

impl Steps {
    fn done(&mut self, step: &str) {
        let took = self.0.elapsed().as_micros();
        self.1.push((step.to_owned(), u64::try_from(took).unwrap_or(u64::MAX)));
        self.0 = Instant::now();
    }
}

/// Becomes the guest; returns the exit status.
pub fn live(
    home: Home<'_>,
    Payload { workload, guest, engine }: Payload,
    line: Channel,
    stdio: Stdio<OwnedFd>,
    files: GuestFiles<OwnedFd>,
    inheritance: &Inheritance,
) -> i32 {
    let mut steps = Steps(Instant::now(), Vec::new());
    let Ready { loaded, starter, listeners, oom_event } =
        match box_and_load(home, &workload, (guest, &engine), &line, (stdio, files), inheritance, &mut steps)
        {
            Ok(ready) => ready,
            Err(error) => return report_failure(&line, error),
        };
    let confirms = starter.is_some() || !listeners.is_empty();
    if send(&line, Report::Ready { steps: steps.1, confirms }).is_err()
        || !matches!(line.receive(), Ok(Some((Order::<Slot>::Go, _))))
    {
        // Deleted at the gate, or the daemon is gone.
        return 128 + libc::SIGKILL;
    }
    if confirms {
        let done = starter.map_or(Ok(()), Starter::run).and_then(|()| listeners.listen());
        let failed = done.is_err();
        // Fails if the daemon is gone.
        let _ = send(&line, done.map_or_else(self::failed, |()| Report::Done));
        if failed {
            return NOT_STARTED;
        }
    }
    drop(line);
    let exit = loaded.run();
    if let Exit::Trap(message) | Exit::OutOfMemory(message) = &exit {
        explain(message);
    }
    if matches!(exit, Exit::OutOfMemory(_)) {
        report_oom(&oom_event);
    }
    i32::from(exit.status())
}

fn box_and_load(
    home: Home<'_>,
    workload: &Workload,
    (guest, engine): (Guest, &str),
    line: &Channel,
    (stdio, files): (Stdio<OwnedFd>, GuestFiles<OwnedFd>),
    inheritance: &Inheritance,
    steps: &mut Steps,
) -> anyhow::Result<Ready> {
    wasm_box::take_stdio(workload, stdio.in_order())?;
    let GuestFiles { code: CodeFd(code), bound: BoundFd(bound), oom_event } = files;
    if let Home::New(namespaces, opened) = &home {
        wasm_box::join(namespaces, opened)?;
    }
    send(line, Report::Joined)?;
    steps.done("born and joined");
    let trees = entering(line)?;
    steps.done("waited for the order to enter");
    #[expect(unsafe_code, reason = "bytes become code here")]
    // SAFETY: our own compiler wrote it, in another child of this nursery or of one with the same engines. It can never
    // change: it is in the cache's directory, which only root can write to, and the daemon verified its seal, or sealed
    // it and got the kernel's confirmation that no process has it open for writing; or it is a sealed file in memory.
    // It came through a socket that only the daemon and this nursery hold.
    let code = unsafe { Compiled::vouched(code.into()) };
    let allowed = workload.options.engines.as_deref();
    let engine = inheritance.engines.chosen(engine, &guest.job.world(), allowed)?;
    let mapped = privileges::without_power(|| engine.map(code, &guest))??;
    steps.done("code mapped");
    let starter = match &home {
        Home::New(namespaces, _) => wasm_box::build(workload, namespaces, Trees::from_fds(trees)?)?,
        Home::Existing(inside) => {
            wasm_box::enter(workload, inside)?;
            None
        }
    };
    drop(home);
    steps.done("box built");
    let (listeners, stop) = give_up_power(workload, &guest, inheritance)?;
    steps.done("power given up");
    let equipment = Equipment { bound: Bound::in_file(bound.into()), sockets: listeners.sockets()?, stop };
    let name = &workload.entrypoint.path;
    let loaded = reporting_panics(line, name, || mapped.load(guest, equipment));
    let loaded = loaded.with_context(|| format!("cannot run {name:?}"))?;
    steps.done("linked");
    Ok(Ready { loaded, starter, listeners, oom_event })
}

/// Calls `load`. A panic is reported and ends the process before it unwinds: dropping a runtime for which the kernel
/// refused some threads would wait for the others for ever.
fn reporting_panics<T>(line: &Channel, name: &str, load: impl FnOnce() -> T) -> T {
    let Ok(second) = line.as_fd().try_clone_to_owned() else { return load() };
    let (second, name) = (Channel::from(second), name.to_owned());
    panic::set_hook(Box::new(move |info| {
        let words = info.payload_as_str().unwrap_or("it panicked");
        birth::exit_now(report_failure(&second, anyhow!("cannot run {name:?}: {words}")));
    }));
    let loaded = load();
    // Drops the hook, and with it the second descriptor of the line.
    let _ = panic::take_hook();
    loaded
}

/// Binds the guest's addresses, as root only if the spec allows that, and drops all privileges. Also returns the stop
/// event for a guest that drains its requests.
fn give_up_power(
    workload: &Workload,
    guest: &Guest,
    inheritance: &Inheritance,
) -> anyhow::Result<(Listeners, Option<OwnedFd>)> {
    let bind = || Listeners::make(guest.job.listens());
    let bound = workload.binds_low_ports().then(bind).transpose()?;
    let user = workload.process().user();
    let give = |bound: &Listeners| bound.belong_to(user.uid(), user.gid());
    bound.iter().try_for_each(give).context("cannot give the guest its sockets")?;
    let stop = matches!(guest.job.shape(), Shape::AnswersRequests(_))
        .then(ending::termination_event)
        .transpose()
        .context("cannot watch for signals")?;
    if let Some(layout) = &inheritance.layout {
        layout.show(&guest.args, &guest.env)?;
    }
    let own = guest.job.need().map(|need| Filter::compile(&[need])).transpose()?;
    wasm_box::give_up_power(workload, own.as_ref().unwrap_or(&inheritance.filter))?;
    Ok((bound.map_or_else(bind, Ok)?, stop))
}

/// Waits for the order to enter the box. Returns the root and the volumes that were sent before it.
fn entering(line: &Channel) -> anyhow::Result<Vec<OwnedFd>> {
    let mut all = Vec::new();
    loop {
        let Some((order, fds)) = line.receive::<Order>()? else { bail!("the container was given up") };
        match received(order, fds)? {
            Order::Take(trees) => all.extend(trees),
            Order::Enter => return Ok(all),
            Order::Go => bail!("the container was given up"),
        }
    }
}

/// Writes why a guest trapped to its standard error and to the file that `kubectl describe` shows.
fn explain(message: &str) {
    let text = format!("{}\n", message.trim_end());
    // Errors cannot be reported any more; the exit status still shows the trap.
    let _ = std::io::stderr().write_all(text.as_bytes());
    // Non-blocking, in case the guest put a fifo there.
    let log = File::options().append(true).custom_flags(libc::O_NONBLOCK).open("/dev/termination-log");
    if let Ok(mut log) = log {
        let _ = log.write_all(text.as_bytes());
    }
}
