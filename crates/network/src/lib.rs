//! What a guest may reach, and how names are looked up for it, whichever engine runs it.
//!
//! Everything happens in the guest's own process, inside the box: it reads the container's `resolv.conf` and `hosts`
//! and queries the name servers. It starts no thread, loads no library of the image, and never calls libc's resolver.
//! No unsafe code.
//!
//! ```text
//! Egress ── policy (workload::Outbound), resolved addresses, refusals
//!    └─ Lookup ── hosts, localhost, the search list
//!          ├─ files ── reads both files, and again when they change; or once, with rules (trusted)
//!          └─ dns ── queries the name servers, through sockets: only these two know hickory
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
