//! A demonstration: an image with a Wasm file and a text, run by a private containerd with the shim just built. Needs
//! root; leaves nothing behind.

use std::io::Write as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::containerd::Containerd;
use e2e::rootfs::{Kind, Node};
use e2e::versions::{self, Shim};
use e2e::{image, interrupt};

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "containers need root: run the demo as root");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/hello-p2/hello-p2.wasm");
    let wasm = std::fs::read(&guest).with_context(|| guest.display().to_string())?;
    let size = wasm.len();
    interrupt::listen()?;
    let (installs, _) = versions::installed()?;
    let install = installs.last().context("no containerd to run it with")?;
    let shim = Shim::find()?;
    let daemon = Containerd::start(install, &shim)?;
    let archive = daemon.scope.dir.join("image.tar");
    let file = |path: &str, bytes| Node { path: path.into(), mode: 0o644, kind: Kind::File(bytes) };
    let nodes = [file("app.wasm", wasm), file("motd", b"a barge carries what the ship brought".to_vec())];
    image::write(&nodes, &[], &archive)?;
    daemon.import(&archive)?;
    let image = image::name(None);
    say(&format!(
        "containerd {}; the image {image} holds /app.wasm, {size} bytes, and /motd",
        install.version
    ))?;
    let args = ["run", "--rm", "--runtime", &shim.runtime, "--env", "GREETING=hello"];
    let words = [&image, "demo", "/app.wasm", "0", "/motd"];
    say(&format!("$ ctr {} {}", args.join(" "), words.join(" ")))?;
    let mut ctr = daemon.ctr(args.iter().copied().chain(words));
    let status = ctr.stdin(Stdio::null()).status().context("cannot run ctr")?;
    if !status.success() {
        bail!("the guest ended with {status}");
    }
    say("and it left nothing behind")
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
