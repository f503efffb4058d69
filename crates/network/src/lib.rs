//! What a guest may reach, and how names are looked up for it, whichever engine runs it.
//!
//! Everything happens in the guest's own process, inside the box: the container's `resolv.conf` and `hosts`
//! are read here, and its name servers are asked here. No thread is started, no library of the image is
//! consulted, and libc's resolver is never called. No unsafe code.
//!
//! ```text
//! Egress ── policy (workload::Outbound), what was looked up, what was refused
//!    └─ Lookup ── hosts, localhost, the search list
//!          ├─ files ── reads both files, and again when they changed; or once, where there are rules (trusted)
//!          └─ dns ── asks the name servers, through sockets: only these two know hickory
//! ```

mod asked;
mod dns;
mod egress;
mod files;
mod hosts;
mod known;
mod lookup;
mod refusals;
mod resolv_conf;
mod sockets;
mod trusted;

pub use egress::Egress;
pub use files::Sources;
pub use lookup::{Lookup, LookupError};
