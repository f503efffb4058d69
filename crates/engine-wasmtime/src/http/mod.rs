//! Incoming requests, each handled by one instance of the guest.

mod body;
mod exports;
mod guests;
mod received;
#[cfg(feature = "p3")]
mod wasi03;

pub use exports::Component;
pub use guests::HttpGuest;
