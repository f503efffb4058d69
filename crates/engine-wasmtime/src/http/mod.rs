//! HTTP for guests: requests that come to them, each to a copy of its own, and those they make.

mod answer;
mod guests;
mod outgoing;
mod ticks;

pub use guests::Guests;
pub use outgoing::Outgoing;
pub use ticks::Ticks;
