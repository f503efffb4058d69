//! The messages on the nursery's socket: the first byte selects the expected message, the rest is a packet.

use std::fmt::Debug;

use container::channel::Channel;
use rustix::net::{SendFlags, send};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shim::payload::{NurseryReply, NurseryRequest, Order, Payload, Report};

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    let (one, other) = Channel::pair()?;
    other.set_nonblocking()?;
    Ok(Box::new(move |bytes| {
        let Some((kind, packet)) = bytes.split_first() else { return };
        // An empty packet would be end of file.
        if packet.is_empty() || send(&one, packet, SendFlags::empty()).is_err() {
            return;
        }
        match kind % 5 {
            0 => check::<NurseryRequest>(&one, &other),
            1 => check::<NurseryReply>(&one, &other),
            2 => check::<Report>(&one, &other),
            3 => check::<Order>(&one, &other),
            _ => check::<Payload>(&one, &other),
        }
    }))
}

/// A message that was parsed is the same after it was sent again.
fn check<T: Serialize + DeserializeOwned + Debug>(one: &Channel, other: &Channel) {
    let Ok(Some((message, fds))) = other.receive::<T>() else { return };
    assert!(fds.is_empty(), "descriptors out of nothing");
    if one.send(&message, &[]).is_err() {
        // Longer than a packet may be, once it is serialized.
        return;
    }
    let again = other.receive::<T>();
    assert!(matches!(again, Ok(Some(_))), "{message:?} was sent and came as {again:?}");
}
