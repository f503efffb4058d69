//! The shim's binary when containerd or a user queries it directly: no stdin, no log.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::process::run;
use e2e::runner::Scenario;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("binary-info", |daemon| {
            let printed = ask(daemon, "-info")?;
            // RuntimeInfo is a protobuf message; it contains these strings verbatim.
            for part in ["lighter", "opencontainers/runtime-spec/1/features/Features"] {
                ensure!(
                    contains(&printed, part.as_bytes()),
                    "RuntimeInfo does not contain {part:?}: {printed:?}"
                );
            }
            Ok(())
        }),
        Scenario::ours("binary-v", |daemon| version(daemon, "-v")),
        Scenario::ours("binary-version", |daemon| version(daemon, "-version")),
        Scenario::ours("binary-alone", alone),
        Scenario::ours("binary-copied", copied),
        Scenario::ours("binary-orphaned", orphaned),
    ]
}

fn version(daemon: &Containerd, flag: &str) -> Result<()> {
    let printed = String::from_utf8(ask(daemon, flag)?)?;
    ensure!(printed.contains("containerd-shim-lighter-v1"), "{flag} prints {printed:?}");
    ensure!(printed.contains(|char: char| char.is_ascii_digit()), "{flag} names no version: {printed:?}");
    Ok(())
}

/// Copied without the daemon's program, the shim reports what is missing and leaves no socket.
fn alone(daemon: &Containerd) -> Result<()> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let bundle = daemon.scope.dir.join("tmp/alone");
    fs::create_dir(&bundle)?;
    fs::copy(binary, bundle.join("shim"))?;
    fs::write(bundle.join("config.json"), "{}")?;
    let mut start = Command::new(bundle.join("shim"));
    start.args(["-namespace", &daemon.scope.namespace, "-id", "alone", "-address"]).arg(daemon.socket());
    let output = run(start.arg("start").current_dir(&bundle).stdin(Stdio::null()))?;
    output.exits(1)?.complains("lighter-daemon, which belongs beside this program")?;
    let address = fs::read_to_string(bundle.join("address"))?;
    let socket = address.strip_prefix("unix://").context("the address is no socket")?;
    ensure!(!Path::new(socket).exists(), "{socket} is left");
    Ok(())
}

/// The shim of a containerd that was killed meanwhile: it starts no daemon, which no client would ever ask to end.
fn orphaned(daemon: &Containerd) -> Result<()> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let bundle = daemon.scope.dir.join("tmp/orphaned");
    fs::create_dir(&bundle)?;
    fs::write(bundle.join("config.json"), "{}")?;
    let mut start = Command::new(binary);
    start.args(["-namespace", &daemon.scope.namespace, "-id", "orphaned", "-address"]).arg(daemon.socket());
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let started = start.arg("start").current_dir(&bundle).stdin(Stdio::null()).stdout(writer).output()?;
    let words = String::from_utf8_lossy(&started.stderr).into_owned();
    ensure!(!started.status.success() && words.contains("containerd is gone"), "{}: {words}", started.status);
    let address = fs::read_to_string(bundle.join("address"))?;
    let socket = address.strip_prefix("unix://").context("the address is no socket")?;
    ensure!(!Path::new(socket).exists(), "{socket} is left");
    Ok(())
}

/// Copied alone, the shim uses the daemon's program from `PATH`, if it is of the same build.
fn copied(daemon: &Containerd) -> Result<()> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let (copy, other) = (daemon.scope.dir.join("tmp/copied"), daemon.scope.dir.join("tmp/strangers"));
    fs::create_dir(&copy)?;
    fs::create_dir(&other)?;
    let (shim, stranger) = (copy.join("containerd-shim-lighter-v1"), other.join("lighter-daemon"));
    fs::copy(binary, &shim)?;
    fs::write(&stranger, "#!/bin/sh\necho '  Build: 0'\n")?;
    fs::set_permissions(&stranger, fs::Permissions::from_mode(0o755))?;
    let print_version = |dirs: &[&Path]| {
        run(Command::new(&shim).arg("-version").env("PATH", env::join_paths(dirs)?).stdin(Stdio::null()))
    };
    let own = binary.parent().context("the shim's path has no parent")?;
    let output = print_version(&[&other, own])?.ok()?;
    ensure!(output.stdout.contains("Engines: wasmtime"), "{output:?}");
    print_version(&[&other])?.exits(1)?.complains(&format!("{} is of another build", stranger.display()))?;
    Ok(())
}

fn ask(daemon: &Containerd, flag: &str) -> Result<Vec<u8>> {
    let binary = daemon.shim.binary.as_ref().context("the shim under test has no binary of ours")?;
    let empty = daemon.scope.dir.join("tmp");
    let output = Command::new(binary).arg(flag).current_dir(empty).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{flag}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(!output.stdout.is_empty(), "{flag} prints nothing");
    Ok(output.stdout)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
