//! The shim: ttrpc in, events out, Wasm guests in between. It is built into two programs.
//!
//! containerd executes `containerd-shim-lighter-v1` for each container: to `start` a pod's daemon, to clean up after it
//! (`delete`) and to query its features (`-info`). It is small because the kernel loads it each time. For everything
//! else it executes `lighter-daemon`, which is installed next to it: the pod's daemon, with all engines linked in. The
//! nursery is a fork of the daemon, made before the daemon has any thread; each guest is a fork of the nursery.
//!
//! A container passes through these modules in one direction:
//!
//! ```text
//! serve ──► rpc ──► launch ──► watch ──► end
//! the socket,       finds, compiles,     waits for exits,  takes down
//! the runtime       spawns               reports them      what was made
//! ```
//!
//! `rpc` has one file per request; `daemon` is the state that requests share. `launch`, `watch` and `end` use the
//! nursery, never the daemon. All of these use `task`, the state of a container, and `nursery`, which imports none of
//! them; `payload` has the messages of its socket. There are no import cycles between files.
//!
//! Unsafe code: `nursery::births::guest` (vouches for code that our own compiler made), `serve` (hands the listening
//! socket to the ttrpc server) and `awaited` (registers descriptors with tokio).

mod asker;
mod awaited;
mod blocking;
mod bootstrap;
mod companion;
mod daemon;
pub mod delete;
mod end;
mod engines;
mod environment;
mod events;
mod guest_memory;
pub mod info;
mod launch;
mod lock;
mod log_fifo;
mod nursery;
pub mod options;
pub mod payload;
mod record;
mod rpc;
mod serve;
mod socket;
pub mod start;
mod streams;
mod task;
mod watch;

use std::ffi::CStr;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use containerd_shim::Flags;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// The daemon's process name, at most 15 bytes.
const NAME: &CStr = c"lighter-daemon";

/// The main function of the daemon's programs, which differ only in the engines that are linked in.
pub fn daemon_main() -> ExitCode {
    main(|flags| {
        // First of all, so that every forked process is not dumpable from its first instruction on: no container may
        // inspect a process that holds resources of the host. `execve` resets it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context("cannot forbid looking into the process")?;
        // It was executed by way of /proc/self/fd, so `ps` would show a number as its name.
        rustix::thread::set_name(NAME).context("cannot name the process")?;
        match flags.action.as_str() {
            _ if flags.version => info::print_engines(),
            "start" => serve::run(flags),
            "delete" => delete::thoroughly(flags),
            _ => bail!("containerd-shim-lighter-v1 runs this program"),
        }
    })
}

/// Parses the command line, which follows containerd's conventions, and runs `act`.
pub fn main(act: impl FnOnce(&Flags) -> Result<()>) -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let flags = containerd_shim::parse(&args).context("cannot read the command line");
    match flags.and_then(|flags| act(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // containerd shows what the shim prints on standard error.
            eprintln!("containerd-shim-lighter-v1: {error:#}");
            ExitCode::FAILURE
        }
    }
}
