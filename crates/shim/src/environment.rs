//! The environment variables that say something to the daemon. All else that containerd was given, secrets among it, is
//! not its business, nor that of its children.

/// Where containerd takes events.
pub const EVENTS: &str = "TTRPC_ADDRESS";
/// Where systemd takes orders.
const SYSTEMD: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// Where compiled code is kept, unless the options say it.
pub const CACHE: &str = "LIGHTER_CACHE";
/// Those that containerd's service has, passed on as they are.
pub const PASSED_ON: [&str; 3] = [EVENTS, SYSTEMD, CACHE];
/// Who asked for the daemon, which `start` says.
pub const ASKER: &str = "LIGHTER_ASKER";
