//! The subjects of the comparison: a shim and the program that it runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use e2e::containerd::Containerd;

/// The case of the conformance crate that every Wasm shim runs.
const HELLO: &[&str] = &["/cases/hello.wasm"];
const HELLO_SAYS: &str = "hello from a lighter\n";
const ECHO: &[&str] = &["/bin/echo", "hello"];
const ECHO_SAYS: &str = "hello\n";
/// The same loop, once for each kind: see `sieve/`.
pub const SIEVES: [(&str, &[&str]); 2] = [("Wasm", &["/sieve.wasm"]), ("native", &["/sieve"])];

/// A shim with a program for it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the tables.
    pub name: String,
    /// The name given to `ctr run --runtime`.
    pub runtime: &'static str,
    /// Further arguments of `ctr run`.
    pub flags: Vec<&'static str>,
    /// The entrypoint and its arguments.
    pub args: &'static [&'static str],
    /// The complete expected output of a run.
    pub says: &'static str,
}

impl Subject {
    fn new(shim: &str, runtime: &'static str, wasm: bool) -> Self {
        let (kind, args, says) =
            if wasm { ("Wasm hello", HELLO, HELLO_SAYS) } else { ("native echo", ECHO, ECHO_SAYS) };
        Self { name: format!("{shim}, {kind}"), runtime, flags: Vec::new(), args, says }
    }

    /// Our shim with a Wasm hello.
    pub fn lighter() -> Self {
        Self::new("lighter", "io.containerd.lighter.v1", true)
    }

    /// Our shim with a native echo.
    pub fn lighter_native() -> Self {
        Self::new("lighter", "io.containerd.lighter.v1", false)
    }

    /// The common reference.
    pub fn runc() -> Self {
        Self::new("runc", "io.containerd.runc.v2", false)
    }

    /// The shim of `PEER_SHIM` with a Wasm hello.
    pub fn peer() -> Self {
        Self::new("peer", "io.containerd.peer.v1", true)
    }

    /// The shim that starts nothing.
    pub fn floor() -> Self {
        Self { name: "floor".into(), says: "", ..Self::new("", "io.containerd.floor.v1", true) }
    }

    /// The same with further arguments of `ctr run`.
    pub fn with(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }
}

/// Links the floor's shim and the peer's where `daemon` finds them; Lighter's own is there already.
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
