//! Polls clocks, sockets and other files: `poll_oneoff`, and WasmEdge's `epoll_oneoff`.
//!
//! Each call is one ppoll(2). An edge-triggered call polls an epoll set that lives as long as the guest, so that an
//! edge between two calls is reported by the second.

mod subscription;
mod watch;

use std::collections::BTreeSet;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use self::subscription::{Event, Interest, Subscription};
use self::watch::Watches;
use super::{Errno, Sockets};
use crate::Memory;

pub(super) use self::watch::Edges;

/// The engine's own descriptors and clock.
pub trait Others {
    /// How to poll a descriptor that is no socket, for reading or for writing.
    ///
    /// # Errors
    /// The error of its event: `BadF` when it is not open.
    fn kind(&mut self, fd: u32, write: bool) -> Result<Readiness, Errno>;

    /// The guest's monotonic clock, in nanoseconds, as `clock_time_get` returns it; its origin is the engine's choice.
    fn monotonic(&mut self) -> u64;
}

/// How to poll a descriptor.
#[derive(Debug)]
pub enum Readiness {
    /// It is always ready, as files are.
    Ready,
    /// By the kernel: a descriptor that is open as long as the process lives, such as `rustix::stdio::stdin`.
    Watch(BorrowedFd<'static>),
}

/// What is known of a subscription before the kernel is polled.
enum Known {
    /// Its event.
    All(Event),
    /// The time of its event; `None` if that is never.
    Time(Option<Instant>),
    /// The kernel decides.
    Nothing,
}

impl Sockets {
    /// `poll_oneoff`, or `epoll_oneoff` with `edge`: waits for an event of one of the `nsubs` subscriptions (48 bytes
    /// each) at `input`, writes all pending events (32 bytes each) to `output`, and their number to `nevents`.
    ///
    /// An invalid subscription has an event with its error: `BadF`, `Exist` for a second one of the same descriptor and
    /// kind, `Inval` for a clock other than 0 (real time) and 1 (monotonic). `nbytes` of a read event is the number of
    /// bytes that the kernel reports, of a write event 1; the flag is 1 when the peer has hung up.
    ///
    /// With `edge`, sockets are edge-triggered, as `EPOLLET`, as long as each call subscribes to them in the same way;
    /// clocks and other descriptors stay level-triggered.
    ///
    /// # Errors
    /// `Inval` for no subscriptions and for an unknown kind; `AddrNotAvail`, `Fault`.
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
        // Taken out, since `events` borrows the table.
        let mut edges = mem::take(&mut self.edges);
        let events = self.events(&subscriptions, edge.then_some(&mut edges), others);
        self.edges = edges;
        let events = events?;
        for (event, at) in events.iter().zip((output..).step_by(Event::SIZE as usize)) {
            event.put(memory, at)?;
        }
        Ok(memory.put(nevents, (events.len() as u32).to_le_bytes())?)
    }

    /// Waits for at least one event.
    fn events(
        &self,
        subscriptions: &[Subscription],
        mut edges: Option<&mut Edges>,
        others: &mut dyn Others,
    ) -> Result<Vec<Event>, Errno> {
        let (now, mut watches, mut seen) = (Instant::now(), Watches::default(), BTreeSet::new());
        let mut know = |subscription: &Subscription| {
            let known = match subscription.interest {
                Interest::Clock { id, timeout, absolute } => {
                    from_now(id, timeout, absolute, others).map(|left| Known::Time(now.checked_add(left)))
                }
                Interest::File { fd, write } if !seen.insert((fd, write)) => Err(Errno::Exist),
                Interest::File { fd, write } => match self.at(fd) {
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

/// The time of the first known event: `now` if one is pending.
fn first(known: &[Known], now: Instant) -> Option<Instant> {
    let time = |known: &Known| match known {
        Known::All(_) => Some(now),
        Known::Time(time) => *time,
        Known::Nothing => None,
    };
    known.iter().filter_map(time).min()
}

/// The time left until a clock reaches `timeout`.
fn from_now(id: u32, timeout: u64, absolute: bool, others: &mut dyn Others) -> Result<Duration, Errno> {
    let passed = match (id, absolute) {
        (0 | 1, false) => 0,
        (0, true) => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }
        (1, true) => others.monotonic(),
        // CPU-time clocks cannot be polled, as in Wasmtime.
        _ => return Err(Errno::Inval),
    };
    Ok(Duration::from_nanos(timeout.saturating_sub(passed)))
}

#[cfg(test)]
mod tests;
