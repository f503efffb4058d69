//! What every process that the nursery spawns inherits.

use container::seccomp::Filter;
use container::title::Layout;

use crate::engines::Engines;

/// Set up before the first request.
pub struct Inheritance {
    /// The engines.
    pub engines: Engines,
    /// The seccomp filter of guests without additional needs.
    pub filter: Filter,
    /// Where to write a guest's arguments, for `ps`.
    pub layout: Option<Layout>,
}
