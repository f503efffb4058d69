//! HTTP for guests: requests that come to them, each to a copy of its own, and those they make.

mod answer;
mod connecting;
mod connector;
mod errors;
mod exports;
mod guests;
mod outgoing;
mod received;
mod ticks;
mod trust;
mod turns;
#[cfg(feature = "p3")]
mod wasi03;

pub use errors::link;
pub use exports::Component;
pub use guests::Guests;
pub use outgoing::Outgoing;
pub use ticks::Ticks;
