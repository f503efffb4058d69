//! The targets, one file each, and what several of them share.

pub mod answers;
pub mod guests;
pub mod http;
pub mod messages;
pub mod modules;
pub mod names;
pub mod options;
pub mod settings;
pub mod sockets;
pub mod specs;
pub mod text;

use std::fs;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use workload::{HttpHandler, Options, Preview1, Start, Wasi, Workload, World};

/// A runtime with a paused clock, which advances as soon as there is nothing else to do.
fn hasty() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().start_paused(true).build()
}

/// Removes what an input has left below the thread's root.
fn tidy_up() {
    for entry in fs::read_dir("/").into_iter().flatten().flatten() {
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // A leftover that cannot be removed fails a later input.
        let _ = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// A world that runs once and one that answers requests, each with settings of its own.
fn worlds() -> [World; 2] {
    let (start, foreign) = (Start::Command, Vec::new());
    let module = Preview1 { start, sockets: true, polls: false, foreign };
    [World::Preview1(module), World::HttpHandler(HttpHandler { wasi: Wasi::P2, concurrent: false })]
}

/// Parses a workload from JSON.
fn workload(json: &[u8]) -> Option<Workload> {
    Workload::read("c", Path::new("/bundle"), json, Options::default()).ok()
}
