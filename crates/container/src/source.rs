//! The file that a container starts from, once it is found.

use std::fs::File;

use workload::Format;

/// The file that a container starts from.
#[derive(Debug)]
pub struct Source {
    /// The file, open for reading, at its beginning.
    pub file: File,
    /// What it is.
    pub format: Format,
    /// What identifies its contents.
    pub content_id: ContentId,
}

/// What identifies the contents of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentId {
    /// Nothing: they may differ at the next read.
    None,
    /// The file's metadata: it is an image layer's own, so no container can change it, and the kernel sets its times.
    FileMetadata,
}
