//! The process in the box: does what the shim's guest does until its code would run, then tries on request what it
//! may not.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use container::cgroup::{EntryMode, move_self};
use container::channel::Channel;
use container::inside::Inside;
use container::mounts::Trees;
use container::namespaces::{Namespaces, Opened};
use container::seccomp::Filter;
use container::title::Layout;
use container::{birth, compiler, wasm_box};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Uid, execve, getppid, setuid};
use rustix::fs::{CWD, Mode};
use rustix::net::{AddressFamily, SocketType, socket};
use workload::Workload;

use crate::birth::{Order, Report};

/// The limit of a compiler's private memory, in bytes.
const COMPILERS_MEMORY: u64 = 1 << 26;

/// What a guest's process inherits.
pub struct Handed {
    pub stdio: [OwnedFd; 3],
    pub files: Vec<OwnedFd>,
    pub mode: EntryMode,
    pub filter: Filter,
    pub layout: Option<Layout>,
}

/// The box of a guest.
pub enum Home<'a> {
    /// A new one, which it builds.
    New(&'a Namespaces, Opened),
    /// An existing one.
    There(Inside),
}

/// Runs in a guest's box; returns the exit status of the process.
pub fn live(home: Home<'_>, workload: &Workload, handed: Handed, line: Channel) -> i32 {
    wait(&line, come_in(home, workload, handed, &line))
}

/// Runs in a compiler's box.
pub fn compile(stdio: [OwnedFd; 3], line: Channel) -> i32 {
    let replaced = wasm_box::replace_stdio(stdio);
    wait(&line, replaced.and_then(|()| compiler::enter_box(COMPILERS_MEMORY)))
}

fn come_in(home: Home<'_>, workload: &Workload, handed: Handed, line: &Channel) -> Result<()> {
    let Handed { stdio, files, mode, filter, layout } = handed;
    if matches!(mode, EntryMode::SelfMove(_)) {
        move_self(files)?;
    } else {
        drop(files);
    }
    wasm_box::take_stdio(workload, stdio)?;
    if let Home::New(namespaces, opened) = &home {
        wasm_box::join(namespaces, opened)?;
    }
    line.send(&Report::Joined, &[])?;
    let mut trees = Vec::new();
    loop {
        match line.receive()? {
            Some((Order::Take, fds)) => trees.extend(fds),
            Some((Order::Enter, _)) => break,
            _ => bail!("the box was given up"),
        }
    }
    match &home {
        Home::New(namespaces, _) => drop(wasm_box::build(workload, namespaces, Trees::from_fds(trees)?)?),
        Home::There(inside) => wasm_box::enter(workload, inside)?,
    }
    drop(home);
    if let Some(layout) = layout {
        let process = workload.process();
        let pairs = process.env().iter().flatten().filter_map(|pair| pair.split_once('='));
        let env: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        layout.show(process.args().as_deref().unwrap_or_default(), &env)?;
    }
    wasm_box::give_up_power(workload, &filter)
}

/// At the gate: tries what it is ordered to, until the channel closes.
fn wait(line: &Channel, came_in: Result<()>) -> i32 {
    let report = came_in.map_or_else(|error| Report::Failed(format!("{error:#}")), |()| Report::Ready);
    let mut sent = line.send(&report, &[]);
    while let (Ok(()), Some(Order::Try(what))) = (&sent, receive(line)) {
        let tried = attempt(&what).unwrap_or_else(|error| format!("{error:#}"));
        sent = line.send(&Report::Tried(tried), &[]);
    }
    0
}

/// Receives by read(2): a compiler's filter denies recvmsg.
fn receive(line: &Channel) -> Option<Order> {
    let mut text = [0; 4096];
    let length = rustix::io::read(line, &mut text).ok()?;
    serde_json::from_slice(&text[..length]).ok()
}

/// Tries it. Returns `ok`, or the name of the errno.
fn attempt(what: &str) -> Result<String> {
    let (call, path) = what.split_once(' ').unwrap_or((what, ""));
    let tried: std::io::Result<()> = match call {
        "read" => File::open(path).map(drop),
        "write" => File::options().append(true).open(path).map(drop),
        "make" => File::create_new(path).map(drop),
        "mkdir" => rustix::fs::mkdirat(CWD, path, Mode::RWXU).map_err(Into::into),
        "sleep" => loop {
            sleep(Duration::MAX);
        },
        "text" => return fs::read_to_string(path).context("cannot read it"),
        "mount" => {
            mount(Some("tmpfs"), "/", Some("tmpfs"), MsFlags::empty(), None::<&str>).map_err(Into::into)
        }
        "unshare" => unshare(CloneFlags::CLONE_NEWUSER).map_err(Into::into),
        "fork" => birth::child().map(|child| {
            if child.is_none() {
                birth::exit_now(0)
            }
        }),
        "execute" => execve(c"/app.wasm", &[c"a"], &[c""]).map(|_| ()).map_err(Into::into),
        "setuid" => setuid(Uid::from_raw(0)).map_err(Into::into),
        "kill" => kill(getppid(), Signal::SIGCONT).map_err(Into::into),
        "uname" => nix::sys::utsname::uname().map(drop).map_err(Into::into),
        "chroot" => nix::unistd::chroot(Path::new("/")).map_err(Into::into),
        "socket-inet" => socket(AddressFamily::INET, SocketType::STREAM, None).map(drop).map_err(Into::into),
        "socket-unix" => socket(AddressFamily::UNIX, SocketType::STREAM, None).map(drop).map_err(Into::into),
        "socket-packet" => socket(AddressFamily::PACKET, SocketType::RAW, None).map(drop).map_err(Into::into),
        "privileges" => rustix::thread::set_no_new_privs(true).map_err(Into::into),
        other => bail!("cannot try {other:?}"),
    };
    Ok(match tried.map_err(|error| error.raw_os_error()) {
        Ok(()) => "ok".to_owned(),
        Err(Some(number)) => format!("{:?}", Errno::from_raw(number)),
        Err(None) => bail!("{what}: an error without a number"),
    })
}
