//! The files of the test image: busybox, every case's module, the scenarios' guests, malformed files.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};
use conformance::{Case, Source};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::guests;

const APPLETS: [&str; 17] = [
    "cat", "echo", "env", "false", "head", "id", "nc", "pwd", "sh", "sleep", "stat", "stty", "touch", "true",
    "tty", "wc", "yes",
];

/// One file of the image.
#[derive(Clone)]
pub struct Node {
    /// Path without a leading `/`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// The kind of a file of the image.
#[derive(Clone)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with these bytes.
    File(Vec<u8>),
    /// A symbolic link to this target.
    Link(String),
    /// A character or block device with these numbers.
    Device(Device, u32, u32),
}

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Characters.
    Char,
    /// Blocks.
    Block,
}

/// Devices with permissions for all: one that no kernel has, so that opening it shows whether the cgroup allows it; the
/// first loop device; and one that all containers have. No container may open the first two.
const DEVICES: [(&str, Device, u32, u32); 3] =
    [("absent", Device::Char, 1, 12), ("loop", Device::Block, 7, 0), ("null", Device::Char, 1, 3)];

/// Every file of the image, directories before their content. All belong to root.
///
/// # Errors
/// When busybox is missing, a module does not parse or a guest was not built.
pub fn nodes(cases: &[Case], guests_dir: &Path) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for name in ["bin", "cases", "guests", "bad", "bad/directory.wasm", "nodes", "etc", "dev", "proc", "sys"]
    {
        nodes.push(directory(name, 0o755));
    }
    nodes.push(directory("tmp", 0o1777));
    nodes.push(file("bin/busybox", 0o755, busybox()?));
    for name in APPLETS {
        let kind = Kind::Link("busybox".into());
        nodes.push(Node { path: format!("bin/{name}"), mode: 0o777, kind });
    }
    nodes.push(file("bin/hello.sh", 0o755, "#!/bin/sh\necho \"hello from $0 $*\"\n"));
    nodes.push(file(
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/:/bin/sh\nkeeper:x:4321:4321:keeper:/keep:/bin/sh\n",
    ));
    nodes.push(file("etc/group", 0o644, "root:x:0:\nextra:x:77:root\n"));
    nodes.push(file("secret", 0o400, "only root reads this\n"));
    nodes.push(Node { path: "away".into(), mode: 0o777, kind: Kind::Link("/cases".into()) });
    for (name, device, major, minor) in DEVICES {
        let kind = Kind::Device(device, major, minor);
        nodes.push(Node { path: format!("nodes/{name}"), mode: 0o666, kind });
    }
    for case in cases {
        let bytes = match &case.source {
            Source::Text(text) => {
                nodes.push(file(&format!("cases/{}.wat", case.name), 0o644, text.as_bytes()));
                wat::parse_str(text).with_context(|| format!("{}.wat", case.name))?
            }
            Source::Guest(path) => {
                let path = guests_dir.join(path);
                fs::read(&path).with_context(|| format!("{}.case: {}", case.name, path.display()))?
            }
        };
        nodes.push(file(&format!("cases/{}.wasm", case.name), 0o644, bytes));
    }
    for (name, bytes) in guests::all(guests_dir)? {
        nodes.push(file(&format!("guests/{name}.wasm"), 0o644, bytes));
    }
    let whole = guests::hello()?;
    nodes.push(file("bad/empty.wasm", 0o755, ""));
    nodes.push(file("bad/truncated.wasm", 0o755, &whole[..whole.len() / 2]));
    Ok(nodes)
}

/// Writes the files below `root`, for containers with a root file system of their own.
///
/// # Errors
/// When a file cannot be written.
pub fn unpack(nodes: &[Node], root: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    fs::create_dir_all(root)?;
    for node in nodes {
        let path = root.join(&node.path);
        match &node.kind {
            Kind::Directory => fs::create_dir(&path)?,
            Kind::File(bytes) => fs::write(&path, bytes)?,
            Kind::Link(target) => {
                symlink(target, &path)?;
                continue;
            }
            Kind::Device(device, major, minor) => {
                let kind = if *device == Device::Char { SFlag::S_IFCHR } else { SFlag::S_IFBLK };
                mknod(&path, kind, Mode::empty(), makedev((*major).into(), (*minor).into()))?;
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(node.mode))?;
    }
    Ok(())
}

/// A directory of root's.
pub fn directory(path: &str, mode: u32) -> Node {
    Node { path: path.into(), mode, kind: Kind::Directory }
}

/// A file of root's.
pub fn file(path: &str, mode: u32, bytes: impl AsRef<[u8]>) -> Node {
    Node { path: path.into(), mode, kind: Kind::File(bytes.as_ref().into()) }
}

/// The system's busybox, which needs no library of the image when it is Debian's busybox-static.
pub(crate) fn busybox() -> Result<Vec<u8>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/bin", "/usr/bin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join("busybox")).find(|candidate| candidate.is_file());
    Ok(fs::read(found.context("no busybox on this machine: apt-get install busybox-static")?)?)
}
