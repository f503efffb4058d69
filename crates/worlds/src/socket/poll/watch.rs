//! Polls descriptors: by ppoll(2), and by epoll(7) for edges.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::{Errno as Kernel, ioctl_fionread};

use super::super::{Errno, errno::kernel};
use super::subscription::{Event, Interest, Subscription};

/// A guest's epoll set for edge-triggered polls, and the sockets in it, by the guest's numbers.
#[derive(Default)]
pub(in super::super) struct Edges {
    set: Option<OwnedFd>,
    held: BTreeMap<u32, PollFlags>,
}

/// The descriptors of one call, by the guest's numbers.
#[derive(Default)]
pub(super) struct Watches<'a>(BTreeMap<u32, Watch<'a>>);

struct Watch<'a> {
    file: BorrowedFd<'a>,
    interest: PollFlags,
    socket: bool,
}

/// The kernel's result.
pub(super) struct Ready<'a> {
    watches: BTreeMap<u32, Watch<'a>>,
    events: BTreeMap<u32, PollFlags>,
}

impl<'a> Watches<'a> {
    pub(super) fn add_socket(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool) {
        self.add(fd, file, write, true);
    }

    pub(super) fn add_other(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool) {
        self.add(fd, file, write, false);
    }

    fn add(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool, socket: bool) {
        let watch = self.0.entry(fd).or_insert(Watch { file, interest: PollFlags::empty(), socket });
        watch.interest |= if write { PollFlags::OUT } else { PollFlags::IN };
    }

    /// Waits for an event, or until the time `until`.
    pub(super) fn wait(
        self,
        until: Option<Instant>,
        mut edges: Option<&mut Edges>,
    ) -> Result<Ready<'a>, Errno> {
        if let Some(edges) = &mut edges {
            edges.hold(&self)?;
        }
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // A time beyond the kernel's range is never reached.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let events = self.poll(left.as_ref(), edges.as_deref())?;
            if !events.is_empty() || until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Ready { watches: self.0, events });
            }
        }
    }

    /// Calls ppoll once. Returns no events on a timeout or a signal.
    fn poll(
        &self,
        left: Option<&Timespec>,
        edges: Option<&Edges>,
    ) -> Result<BTreeMap<u32, PollFlags>, Errno> {
        let by_poll = |watch: &Watch<'_>| edges.is_none() || !watch.socket;
        let numbers: Vec<u32> =
            self.0.iter().filter(|(_, watch)| by_poll(watch)).map(|(fd, _)| *fd).collect();
        let polled = |fd: &u32| PollFd::from_borrowed_fd(self.0[fd].file, self.0[fd].interest);
        let mut files: Vec<PollFd<'_>> = numbers.iter().map(polled).collect();
        let set = edges.and_then(|edges| edges.set.as_ref());
        files.extend(set.map(|set| PollFd::new(set, PollFlags::IN)));
        match poll(&mut files, left) {
            Err(Kernel::INTR) => return Ok(BTreeMap::new()),
            polled => polled?,
        };
        let events = numbers.iter().zip(&files).map(|(fd, file)| (*fd, file.revents()));
        let mut events: BTreeMap<_, _> = events.filter(|(_, flags)| !flags.is_empty()).collect();
        if let Some(edges) = edges {
            edges.take(&mut events)?;
        }
        Ok(events)
    }
}

impl Ready<'_> {
    /// The event of a subscription.
    pub(super) fn event(&self, subscription: &Subscription) -> Option<Event> {
        let Interest::File { fd, write } = subscription.interest else { return None };
        let (watch, flags) = (self.watches.get(&fd)?, *self.events.get(&fd)?);
        if flags.contains(PollFlags::NVAL) {
            return Some(subscription.failed(Errno::BadF));
        }
        let hangup = flags.contains(PollFlags::HUP);
        let interest = if write { PollFlags::OUT } else { PollFlags::IN };
        let bytes = || match write {
            true => 1,
            // Fails on a listener, which has a connection to accept.
            false => ioctl_fionread(watch.file).unwrap_or(1),
        };
        // ERR counts as ready: the read or write returns the error.
        flags
            .intersects(interest | PollFlags::HUP | PollFlags::ERR)
            .then(|| subscription.of_file(bytes(), hangup))
    }
}

impl Edges {
    /// Removes a socket that closes: another process may still have it open, which would keep it in the set.
    pub(in super::super) fn forget(&mut self, fd: u32, socket: &OwnedFd) {
        if let Some(set) = self.set.as_ref().filter(|_| self.held.remove(&fd).is_some()) {
            let _ = epoll::delete(set, socket);
        }
    }

    /// Removes the sockets that are not in `watches`; `file` looks them up.
    pub(super) fn keep<'s>(&mut self, watches: &Watches<'_>, file: impl Fn(u32) -> Option<&'s OwnedFd>) {
        let unwatched: Vec<u32> =
            self.held.keys().filter(|fd| !watches.0.contains_key(fd)).copied().collect();
        for fd in unwatched {
            if let Some(socket) = file(fd) {
                self.forget(fd, socket);
            }
        }
    }

    /// Adds the sockets of `watches`. One that is in the set with the same interest keeps its edge; any other is
    /// reported when it is ready.
    fn hold(&mut self, watches: &Watches<'_>) -> Result<(), Errno> {
        let set = match self.set.take() {
            Some(set) => set,
            None => kernel(|| epoll::create(epoll::CreateFlags::CLOEXEC))?,
        };
        let set = self.set.insert(set);
        for (fd, watch) in watches.0.iter().filter(|(_, watch)| watch.socket) {
            let flags = epoll::EventFlags::from_bits_retain(watch.interest.bits().into());
            let (flags, data) = (flags | epoll::EventFlags::ET, epoll::EventData::new_u64((*fd).into()));
            match self.held.get(fd) {
                Some(interest) if *interest == watch.interest => continue,
                Some(_) => kernel(|| epoll::modify(&set, watch.file, data, flags))?,
                None => kernel(|| epoll::add(&set, watch.file, data, flags))?,
            }
            self.held.insert(*fd, watch.interest);
        }
        Ok(())
    }

    /// Adds the pending edges to `events`.
    fn take(&self, events: &mut BTreeMap<u32, PollFlags>) -> Result<(), Errno> {
        let Some(set) = self.set.as_ref().filter(|_| !self.held.is_empty()) else { return Ok(()) };
        let mut edges = Vec::with_capacity(self.held.len());
        kernel(|| epoll::wait(set.as_fd(), spare_capacity(&mut edges), Some(&Timespec::default())))?;
        for edge in edges {
            // Copied, since the structure is packed.
            let (data, flags) = (edge.data, edge.flags);
            events.insert(data.u64() as u32, PollFlags::from_bits_truncate(flags.bits() as u16));
        }
        Ok(())
    }
}
