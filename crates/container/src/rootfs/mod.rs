//! The root file system in the bundle, before the box is built and after it is gone: mounted as containerd asks
//! (`snapshot`), searched without leaving it (`beneath`), completed (`additions`), unmounted (`release`).

pub(crate) mod additions;
pub(crate) mod beneath;
mod release;
pub(crate) mod snapshot;

pub use crate::volumes::check_mount_sources;
pub use release::unmount_all;
pub use snapshot::{Snapshot, mount_snapshot};
