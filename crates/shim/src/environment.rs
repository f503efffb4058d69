//! The environment variables of the daemon. It gets none of containerd's others, which may hold secrets, and neither do
//! its children.

/// The address of containerd's event service.
pub const EVENTS: &str = "TTRPC_ADDRESS";
/// The address of the D-Bus on which systemd listens.
const SYSTEMD: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// The directory of the cache, unless the options name one.
pub const CACHE: &str = "LIGHTER_CACHE";
/// Those that are passed on from containerd's environment unchanged.
pub const PASSED_ON: [&str; 3] = [EVENTS, SYSTEMD, CACHE];
/// The process id of the containerd that requested the daemon; `start` sets it.
pub const ASKER: &str = "LIGHTER_ASKER";
