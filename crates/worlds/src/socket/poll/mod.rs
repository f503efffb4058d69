//! Waiting for clocks, sockets and other files at once: `poll_oneoff`, and WasmEdge's `epoll_oneoff`.
//!
//! All of it is one ppoll(2). An edge-triggered round asks ppoll for an epoll set that lives as long as the guest,
//! so that an edge that comes between two rounds is seen by the second.

mod subscription;
mod watch;

use std::collections::BTreeSet;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use self::subscription::{Event, Subscription, Wish};
use self::watch::Watches;
use super::{Errno, Sockets};
use crate::Memory;

pub(super) use self::watch::Edges;

/// What preview1 knows and this crate does not.
pub trait Others {
    /// How a descriptor that is no socket is waited for, to be read or to be written.
    ///
    /// # Errors
    /// What the guest is told of it, `BadF` when it is not open.
    fn kind(&mut self, fd: u32, write: bool) -> Result<Readiness, Errno>;

    /// The guest's monotonic clock, in nanoseconds, as `clock_time_get` would tell it now: where it began is the
    /// engine's choice.
    fn monotonic(&mut self) -> u64;
}

/// How a descriptor is waited for.
#[derive(Debug)]
pub enum Readiness {
    /// Not at all: it is always ready, as files are.
    Ready,
    /// By the kernel. What is open for as long as the process lives, as `rustix::stdio::stdin` is.
    Watch(BorrowedFd<'static>),
}

/// What is known of a subscription before the kernel is asked.
enum Known {
    /// Its event.
    All(Event),
    /// The time of its event; none, when it will never be.
    Time(Option<Instant>),
    /// The kernel will tell.
    Nothing,
}

impl Sockets {
    /// `poll_oneoff`, and with `edge` `epoll_oneoff`: waits until there is an event for one of the `nsubs`
    /// subscriptions (48 bytes each) at `input`, writes all events there are (32 bytes each) to `output`, and how many
    /// to `nevents`.
    ///
    /// What is wrong with one subscription is told by its event: `BadF`, `Exist` for a second one of the same descriptor
    /// and kind, `Inval` for a clock other than 0 (real time) and 1 (monotonic). An event to read has as many bytes as
    /// the kernel knows of, any other 1; its flag is 1 when the other side has hung up.
    ///
    /// With `edge` a socket is told of when something has come since it was last told of, for as long as each call
    /// subscribes to it in the same way; clocks and others as ever.
    ///
    /// # Errors
    /// `Inval` for no subscriptions and for one of an unknown kind; `AddrNotAvail`, `Fault`.
    #[expect(clippy::too_many_arguments, reason = "the import has them")]
    pub fn poll_oneoff(
        &mut self,
        memory: &mut Memory<'_>,
        input: u32,
        output: u32,
        nsubs: u32,
        nevents: u32,
        edge: bool,
        others: &mut dyn Others,
    ) -> Result<(), Errno> {
        let subscriptions = Subscription::all(memory, input, nsubs)?;
        Event::have_room(memory, output, nsubs)?;
        memory.place::<4>(nevents)?;
        self.settle();
        // Out of the table for as long as the table is looked at.
        let mut edges = mem::take(&mut self.edges);
        let events = self.events(&subscriptions, edge.then_some(&mut edges), others);
        self.edges = edges;
        let events = events?;
        for (event, at) in events.iter().zip((output..).step_by(Event::SIZE as usize)) {
            event.put(memory, at)?;
        }
        Ok(memory.put(nevents, (events.len() as u32).to_le_bytes())?)
    }

    /// One round: at least one event.
    fn events(
        &self,
        subscriptions: &[Subscription],
        mut edges: Option<&mut Edges>,
        others: &mut dyn Others,
    ) -> Result<Vec<Event>, Errno> {
        let (now, mut watches, mut seen) = (Instant::now(), Watches::default(), BTreeSet::new());
        let mut know = |subscription: &Subscription| {
            let known = match subscription.wish {
                Wish::Clock { id, timeout, absolute } => {
                    from_now(id, timeout, absolute, others).map(|left| Known::Time(now.checked_add(left)))
                }
                Wish::File { fd, write } if !seen.insert((fd, write)) => Err(Errno::Exist),
                Wish::File { fd, write } => match self.at(fd) {
                    Ok(socket) => {
                        watches.add_socket(fd, socket.fd.as_fd(), write);
                        Ok(Known::Nothing)
                    }
                    Err(_) => others.kind(fd, write).map(|readiness| match readiness {
                        Readiness::Ready => Known::All(subscription.event()),
                        Readiness::Watch(file) => {
                            watches.add_other(fd, file, write);
                            Known::Nothing
                        }
                    }),
                },
            };
            known.unwrap_or_else(|error| Known::All(subscription.failed(error)))
        };
        let known: Vec<Known> = subscriptions.iter().map(&mut know).collect();
        if let Some(edges) = &mut edges {
            edges.keep(&watches, |fd| self.at(fd).ok().map(|socket| &socket.fd));
        }
        let ready = watches.wait(first(&known, now), edges)?;
        let now = Instant::now();
        let event = |(subscription, known): (&Subscription, Known)| match known {
            Known::All(event) => Some(event),
            Known::Time(time) => time.filter(|time| *time <= now).map(|_| subscription.event()),
            Known::Nothing => ready.event(subscription),
        };
        Ok(subscriptions.iter().zip(known).filter_map(event).collect())
    }
}

/// When the first event is known to come; at once, where one is there.
fn first(known: &[Known], now: Instant) -> Option<Instant> {
    let time = |known: &Known| match known {
        Known::All(_) => Some(now),
        Known::Time(time) => *time,
        Known::Nothing => None,
    };
    known.iter().filter_map(time).min()
}

/// How long until a clock's time.
fn from_now(id: u32, timeout: u64, absolute: bool, others: &mut dyn Others) -> Result<Duration, Errno> {
    let passed = match (id, absolute) {
        (0 | 1, false) => 0,
        (0, true) => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }
        (1, true) => others.monotonic(),
        // No time of processors is waited for, as by Wasmtime.
        _ => return Err(Errno::Inval),
    };
    Ok(Duration::from_nanos(timeout.saturating_sub(passed)))
}

#[cfg(test)]
mod tests;
