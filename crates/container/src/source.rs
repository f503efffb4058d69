//! What a container starts from, once it was found.

use std::fs::File;

use workload::Format;

/// What a container starts from.
#[derive(Debug)]
pub struct Source {
    /// The file, open for reading at its beginning.
    pub file: File,
    /// What it is.
    pub format: Format,
    /// Whether it is known by something that stands for its bytes.
    pub known: Known,
}

/// What stands for the bytes of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: they may be others by the next look.
    Not,
    /// What the kernel says of the file, which is an image layer's own: nobody can change it, and its times are the kernel's.
    ByItsFile,
}
