//! What the kernel is asked for: ppoll(2), with epoll(7) behind it for edges.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::{Errno as Kernel, ioctl_fionread};

use super::super::{Errno, errno::kernel};
use super::subscription::{Event, Subscription, Wish};

/// The epoll set of a guest that asks for edges, and what it holds, by the guest's numbers.
#[derive(Default)]
pub(in super::super) struct Edges {
    set: Option<OwnedFd>,
    held: BTreeMap<u32, PollFlags>,
}

/// What is watched in one round, by the guest's numbers.
#[derive(Default)]
pub(super) struct Watches<'a>(BTreeMap<u32, Watch<'a>>);

struct Watch<'a> {
    file: BorrowedFd<'a>,
    wish: PollFlags,
    socket: bool,
}

/// What the kernel told.
pub(super) struct Ready<'a> {
    watches: BTreeMap<u32, Watch<'a>>,
    told: BTreeMap<u32, PollFlags>,
}

impl<'a> Watches<'a> {
    pub(super) fn add_socket(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool) {
        self.add(fd, file, write, true);
    }

    pub(super) fn add_other(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool) {
        self.add(fd, file, write, false);
    }

    fn add(&mut self, fd: u32, file: BorrowedFd<'a>, write: bool, socket: bool) {
        let watch = self.0.entry(fd).or_insert(Watch { file, wish: PollFlags::empty(), socket });
        watch.wish |= if write { PollFlags::OUT } else { PollFlags::IN };
    }

    /// Waits until there is something, or it is `until`.
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
            // A time that the kernel has no number for will not come.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let told = self.ask(left.as_ref(), edges.as_deref())?;
            if !told.is_empty() || until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Ready { watches: self.0, told });
            }
        }
    }

    /// Asks once. Nothing, when it took too long or a signal came.
    fn ask(&self, left: Option<&Timespec>, edges: Option<&Edges>) -> Result<BTreeMap<u32, PollFlags>, Errno> {
        let by_poll = |watch: &Watch<'_>| edges.is_none() || !watch.socket;
        let numbers: Vec<u32> =
            self.0.iter().filter(|(_, watch)| by_poll(watch)).map(|(fd, _)| *fd).collect();
        let polled = |fd: &u32| PollFd::from_borrowed_fd(self.0[fd].file, self.0[fd].wish);
        let mut files: Vec<PollFd<'_>> = numbers.iter().map(polled).collect();
        let set = edges.and_then(|edges| edges.set.as_ref());
        files.extend(set.map(|set| PollFd::new(set, PollFlags::IN)));
        match poll(&mut files, left) {
            Err(Kernel::INTR) => return Ok(BTreeMap::new()),
            asked => asked?,
        };
        let told = numbers.iter().zip(&files).map(|(fd, file)| (*fd, file.revents()));
        let mut told: BTreeMap<_, _> = told.filter(|(_, flags)| !flags.is_empty()).collect();
        if let Some(edges) = edges {
            edges.take(&mut told)?;
        }
        Ok(told)
    }
}

impl Ready<'_> {
    /// What is told of a subscription.
    pub(super) fn event(&self, subscription: &Subscription) -> Option<Event> {
        let Wish::File { fd, write } = subscription.wish else { return None };
        let (watch, told) = (self.watches.get(&fd)?, *self.told.get(&fd)?);
        if told.contains(PollFlags::NVAL) {
            return Some(subscription.failed(Errno::BadF));
        }
        let hangup = told.contains(PollFlags::HUP);
        let wish = if write { PollFlags::OUT } else { PollFlags::IN };
        let bytes = || match write {
            true => 1,
            // A listener has none, but somebody is there.
            false => ioctl_fionread(watch.file).unwrap_or(1),
        };
        // An error is seen by whoever reads or writes.
        told.intersects(wish | PollFlags::HUP | PollFlags::ERR).then(|| subscription.of_file(bytes(), hangup))
    }
}

impl Edges {
    /// Lets go of a socket that closes: somebody else may have it open still.
    pub(in super::super) fn forget(&mut self, fd: u32, socket: &OwnedFd) {
        if let Some(set) = self.set.as_ref().filter(|_| self.held.remove(&fd).is_some()) {
            let _ = epoll::delete(set, socket);
        }
    }

    /// Lets go of the sockets that `watches` does not have; `file` knows them.
    pub(super) fn keep<'s>(&mut self, watches: &Watches<'_>, file: impl Fn(u32) -> Option<&'s OwnedFd>) {
        let others: Vec<u32> = self.held.keys().filter(|fd| !watches.0.contains_key(fd)).copied().collect();
        for fd in others {
            if let Some(socket) = file(fd) {
                self.forget(fd, socket);
            }
        }
    }

    /// Holds the sockets of `watches`. What is held as it was keeps its edge; what was not is told of when it is
    /// ready.
    fn hold(&mut self, watches: &Watches<'_>) -> Result<(), Errno> {
        let set = match self.set.take() {
            Some(set) => set,
            None => kernel(|| epoll::create(epoll::CreateFlags::CLOEXEC))?,
        };
        let set = self.set.insert(set);
        for (fd, watch) in watches.0.iter().filter(|(_, watch)| watch.socket) {
            let flags = epoll::EventFlags::from_bits_retain(watch.wish.bits().into());
            let (flags, data) = (flags | epoll::EventFlags::ET, epoll::EventData::new_u64((*fd).into()));
            match self.held.get(fd) {
                Some(wish) if *wish == watch.wish => continue,
                Some(_) => kernel(|| epoll::modify(&set, watch.file, data, flags))?,
                None => kernel(|| epoll::add(&set, watch.file, data, flags))?,
            }
            self.held.insert(*fd, watch.wish);
        }
        Ok(())
    }

    /// The edges there are.
    fn take(&self, told: &mut BTreeMap<u32, PollFlags>) -> Result<(), Errno> {
        let Some(set) = self.set.as_ref().filter(|_| !self.held.is_empty()) else { return Ok(()) };
        let mut events = Vec::with_capacity(self.held.len());
        kernel(|| epoll::wait(set.as_fd(), spare_capacity(&mut events), Some(&Timespec::default())))?;
        for event in events {
            // Copied, since the structure is packed.
            let (data, flags) = (event.data, event.flags);
            told.insert(data.u64() as u32, PollFlags::from_bits_truncate(flags.bits() as u16));
        }
        Ok(())
    }
}
