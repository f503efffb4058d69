//! Passes descriptors with a message: the message holds the index of each in the list of descriptors, so that the order
//! is defined once, in [`Passed::pass`], for both sides.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::Context;
use container::channel::Channel;
use serde::{Deserialize, Serialize};

/// The index of a descriptor in the list that is sent with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot(usize);

/// A message with descriptors: borrowed ones at the sender, [`Slot`]s in transit, owned ones at the receiver.
pub trait Passed<F>: Sized {
    /// The same message with another type of descriptors.
    type With<G>;

    /// Converts each descriptor with `to`, which also receives its name.
    ///
    /// # Errors
    /// That of `to`.
    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> anyhow::Result<G>) -> anyhow::Result<Self::With<G>>;
}

/// Sends a message with its descriptors; the receiver gets duplicates.
///
/// # Errors
/// See [`Channel::send`].
pub fn send<'a, M>(channel: &Channel, message: M) -> io::Result<()>
where
    M: Passed<BorrowedFd<'a>>,
    M::With<Slot>: Serialize,
{
    let mut fds = Vec::new();
    let message = message.pass(&mut |_, fd| {
        fds.push(fd);
        Ok(Slot(fds.len() - 1))
    });
    channel.send(&message.map_err(io::Error::other)?, &fds)
}

/// Inserts the descriptors that were received with a message into it.
///
/// # Errors
/// Names the descriptor that is missing: the kernel drops those beyond the process's limit of open files.
pub fn received<M: Passed<Slot>>(message: M, fds: Vec<OwnedFd>) -> anyhow::Result<M::With<OwnedFd>> {
    let mut fds: Vec<_> = fds.into_iter().map(Some).collect();
    message.pass(&mut |name, Slot(index)| {
        let fd = fds.get_mut(index).and_then(Option::take);
        fd.with_context(|| format!("a message came without {name}; are too many files open?"))
    })
}
