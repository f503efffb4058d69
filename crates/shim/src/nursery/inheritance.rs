//! What every process born of the nursery inherits.

use container::seccomp::Filter;
use container::title::Layout;

use crate::engines::Engines;

/// Set up before the first request.
pub struct Inheritance {
    /// Those that run guests.
    pub engines: Engines,
    /// The filter of guests that need nothing more.
    pub filter: Filter,
    /// Where lists of processes find a guest's arguments.
    pub layout: Option<Layout>,
}
