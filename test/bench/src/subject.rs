//! What is compared: a shim and what it runs, always the same small thing.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use e2e::containerd::Containerd;

/// The case of test/cases that every Wasm shim runs.
const HELLO: &str = "/cases/hello.wasm";
const HELLO_SAYS: &str = "hello from a lighter\n";
const ECHO: [&str; 2] = ["/bin/echo", "hello"];
const ECHO_SAYS: &str = "hello\n";

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the table.
    pub name: &'static str,
    /// The name given to `ctr run --runtime`.
    pub runtime: &'static str,
    /// The entrypoint and its arguments.
    pub args: Vec<&'static str>,
    /// All that a run must print.
    pub says: &'static str,
}

/// The subjects, the floor first: the others are told as multiples of it.
pub fn all(peer: bool) -> Vec<Subject> {
    let wasm = |name, runtime| Subject { name, runtime, args: vec![HELLO], says: HELLO_SAYS };
    let native = |name, runtime| Subject { name, runtime, args: ECHO.to_vec(), says: ECHO_SAYS };
    let mut all = vec![
        Subject { says: "", ..wasm("floor", "io.containerd.floor.v1") },
        wasm("lighter, Wasm hello", "io.containerd.lighter.v1"),
        native("lighter, native echo", "io.containerd.lighter.v1"),
        native("runc, native echo", "io.containerd.runc.v2"),
    ];
    if peer {
        all.push(wasm("peer, Wasm hello", "io.containerd.peer.v1"));
    }
    all
}

/// Lets `daemon` find the floor's shim and the peer's; Lighter's own it knows already.
///
/// # Errors
/// When there is no such file, or no link to it can be made.
pub fn install(daemon: &Containerd, floor: &Path, peer: Option<&PathBuf>) -> Result<()> {
    let links = [("floor", Some(floor)), ("peer", peer.map(PathBuf::as_path))];
    for (name, binary) in links.into_iter().filter_map(|(name, binary)| Some((name, binary?))) {
        let binary = binary.canonicalize().with_context(|| format!("{}: no shim", binary.display()))?;
        let link = daemon.scope.dir.join(format!("bin/containerd-shim-{name}-v1"));
        std::os::unix::fs::symlink(&binary, &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}
