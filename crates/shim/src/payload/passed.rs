//! How descriptors travel with a message: the message says in which place of the list each is, so that the order is
//! written once, in [`Passed::pass`], for both sides.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::Context;
use container::channel::Channel;
use serde::{Deserialize, Serialize};

/// The place of a descriptor in the list that travels with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot(usize);

/// A message that holds descriptors: borrowed ones with the sender, [`Slot`]s on the way, owned ones with the receiver.
pub trait Passed<F>: Sized {
    /// The same message, holding them in another way.
    type With<G>;

    /// Has `to` exchange each descriptor, which it is told the name of.
    ///
    /// # Errors
    /// That of `to`.
    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> anyhow::Result<G>) -> anyhow::Result<Self::With<G>>;
}

/// Sends a message with its descriptors, of which the receiver gets copies.
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

/// Gives a message that was received the descriptors that came with it.
///
/// # Errors
/// Names the descriptor that did not come: the kernel leaves out what a process may not open any more.
pub fn received<M: Passed<Slot>>(message: M, fds: Vec<OwnedFd>) -> anyhow::Result<M::With<OwnedFd>> {
    let mut fds: Vec<_> = fds.into_iter().map(Some).collect();
    message.pass(&mut |name, Slot(place)| {
        let fd = fds.get_mut(place).and_then(Option::take);
        fd.with_context(|| format!("a message came without {name}; are too many files open?"))
    })
}
