//! The life of a guest's process: into its box, to its gate, and to its end.

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

use super::telling::{failed, report_failure};
use crate::guest_memory::say_wanted;
use crate::nursery::inheritance::Inheritance;
use crate::payload::{
    BoundFd, CodeFd, GuestFiles, Order, Payload, Report, Slot, Stdio, WantedFd, received, send,
};

/// The status of a container whose `startContainer` hook failed, or whose address was taken: what
/// libcontainer ends with.
const NOT_STARTED: i32 = 1;

/// A guest at its gate, and what is to be done before it runs.
struct Ready {
    loaded: Box<dyn Loaded>,
    starter: Option<Starter>,
    listeners: Listeners,
    /// Where to say that it ended for want of memory.
    wanted: WantedFd<OwnedFd>,
}

/// Where a guest lives.
pub enum Home<'a> {
    /// A box of its own, which it builds around itself.
    New(&'a Namespaces, Opened),
    /// A box that another guest has built.
    There(Inside),
}

/// What was done since when, for the daemon's log.
struct Steps(Instant, Vec<(String, u64)>);

impl Steps {
    fn done(&mut self, step: &str) {
        let took = self.0.elapsed().as_micros();
        self.1.push((step.to_owned(), u64::try_from(took).unwrap_or(u64::MAX)));
        self.0 = Instant::now();
    }
}

/// Lives the guest's life.
pub fn live(
    home: Home<'_>,
    Payload { workload, guest, engine }: Payload,
    line: Channel,
    stdio: Stdio<OwnedFd>,
    files: GuestFiles<OwnedFd>,
    inheritance: &Inheritance,
) -> i32 {
    let mut steps = Steps(Instant::now(), Vec::new());
    let Ready { loaded, starter, listeners, wanted } =
        match box_and_load(home, &workload, (guest, &engine), &line, (stdio, files), inheritance, &mut steps)
        {
            Ok(ready) => ready,
            Err(error) => return report_failure(&line, error),
        };
    let tells = starter.is_some() || !listeners.is_empty();
    if send(&line, Report::Ready { steps: steps.1, tells }).is_err()
        || !matches!(line.receive(), Ok(Some((Order::<Slot>::Go, _))))
    {
        // Deleted at the gate, or the daemon is gone.
        return 128 + libc::SIGKILL;
    }
    if tells {
        let done = starter.map_or(Ok(()), Starter::run).and_then(|()| listeners.listen());
        let failed = done.is_err();
        // When the daemon is gone nobody is left to tell.
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
        say_wanted(&wanted);
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
    let GuestFiles { code: CodeFd(code), bound: BoundFd(bound), wanted } = files;
    if let Home::New(namespaces, opened) = &home {
        wasm_box::join(namespaces, opened)?;
    }
    send(line, Report::Joined)?;
    steps.done("born and joined");
    let trees = entering(line)?;
    steps.done("waited for the order to enter");
    #[expect(unsafe_code, reason = "bytes become code here")]
    // SAFETY: our own compiler wrote it in another child of this nursery's, or of one with the same engines. Nobody
    // can change it any more: it is in the cache's folder, which only root can write to, and the daemon found it
    // whole there, or sealed it and heard from the kernel that nobody has it open for writing; or it is in memory,
    // sealed. It reached us through a socket that only the daemon and this nursery hold.
    let code = unsafe { Compiled::vouched(code.into()) };
    let allowed = workload.options.engines.as_deref();
    let engine = inheritance.engines.chosen(engine, &guest.job.world(), allowed)?;
    let mapped = privileges::without_power(|| engine.map(code, &guest))??;
    steps.done("code mapped");
    let starter = match &home {
        Home::New(namespaces, _) => wasm_box::build(workload, namespaces, Trees::from_fds(trees)?)?,
        Home::There(inside) => {
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
    let loaded = telling(line, name, || mapped.load(guest, equipment));
    let loaded = loaded.with_context(|| format!("cannot run {name:?}"))?;
    steps.done("linked");
    Ok(Ready { loaded, starter, listeners, wanted })
}

/// What `load` answers. If it panics that is told, and the process ends, before anything unwinds: a runtime of which the
/// kernel refused some threads would wait for the others, and they for ever.
fn telling<T>(line: &Channel, name: &str, load: impl FnOnce() -> T) -> T {
    let Ok(told) = line.as_fd().try_clone_to_owned() else { return load() };
    let (told, name) = (Channel::from(told), name.to_owned());
    panic::set_hook(Box::new(move |info| {
        let words = info.payload_as_str().unwrap_or("it panicked");
        birth::exit_now(report_failure(&told, anyhow!("cannot run {name:?}: {words}")));
    }));
    let loaded = load();
    // Drops the other one, and with it its end of the line.
    let _ = panic::take_hook();
    loaded
}

/// Binds the guest's addresses, with root's power only where the spec lends it, and gives up what power there is.
/// Returns where a guest with requests to finish is told to end, too.
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

/// Waits for the order to enter the box: what was handed over for it.
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
