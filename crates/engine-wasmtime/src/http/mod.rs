//! HTTP for guests: requests that come to them, each to a copy of its own, and those they make.

mod answer;
mod errors;
mod exports;
mod guests;
mod outgoing;
mod received;
mod ticks;
#[cfg(feature = "p3")]
mod wasi03;

pub use errors::link;
pub use exports::Component;
pub use guests::Guests;
pub use outgoing::Outgoing;
pub use ticks::Ticks;
