//! HTTP for guests: requests that come to them, each to a copy of its own, and those they make.

mod answer;
mod connecting;
mod connector;
mod errors;
mod guests;
mod outgoing;
mod ticks;
mod trust;

pub use errors::link;
pub use guests::Guests;
pub use outgoing::Outgoing;
pub use ticks::Ticks;
