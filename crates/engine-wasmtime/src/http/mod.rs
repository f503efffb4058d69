//! Requests that come to a guest, each to an instance of its own.

mod answer;
mod exports;
mod guests;
mod received;
#[cfg(feature = "p3")]
mod wasi03;

pub use exports::Component;
pub use guests::Guests;
