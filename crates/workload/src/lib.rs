//! What to run: an OCI spec, its annotations and the runtime's options become a [`Workload`].
//!
//! Everything here is pure: it opens no file, reads no clock, and has no unsafe code. Crates that do I/O pass bytes
//! in and act on the results.

mod choice;
mod entrypoint;
mod format;
mod guest;
mod http;
mod once;
mod options;
mod outbound;
mod pod;
mod preview1;
mod sections;
mod settings;
mod spec;
mod text;
mod wasi;
mod world;

pub use choice::Choice;
pub use entrypoint::{DEFAULT_PATH, Entrypoint, EntrypointError};
pub use format::Format;
pub use guest::{Guest, GuestError};
pub use http::{Http, Tls};
pub use once::OnceSettings;
pub use options::{LinuxPrograms, Options, OptionsError};
pub use outbound::{
    ALLOWED_LOOKUP, ALLOWED_OUTBOUND, Outbound, OutboundError, Special, WrongItem, host_name,
};
pub use pod::{Pod, Role};
pub use preview1::SOCKETS;
pub use sections::without_custom_sections;
pub use settings::SettingError;
pub use spec::{SpecError, Workload, memory_limit};
pub use text::{TextError, binary_of};
pub use world::{
    Command, Hosted, HostedJob, HttpHandler, Job, Need, Outline, Preview1, Shape, Start, Wasi, World,
    WorldError, opa,
};
