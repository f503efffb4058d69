//! The shim: ttrpc in, events out, Wasm guests in between. Two programs are made of it.
//!
//! `containerd-shim-lighter-v1` is what containerd executes, for each container, to `start` a pod's daemon, to
//! clean up after it (`delete`) and to ask what it can do (`-info`). It is small, for the kernel loads it each
//! time. What it cannot do by itself it leaves to `lighter-daemon`, which lies beside it: that is the pod's
//! daemon, with all engines in it. The daemon's nursery is a fork of the daemon, made before there is any
//! thread; each guest is a fork of the nursery.
//!
//! Inside, a container goes one way:
//!
//! ```text
//! serve ──► rpc ──► launch ──► watch ──► end
//! the socket,       finds, compiles,     waits for ends,   takes down
//! the runtime       gives birth          tells of them     what was made
//! ```
//!
//! `rpc` has one file per request, and `daemon` what requests share. What launches, watches and takes down is given the
//! nursery, and never the daemon. All of these know `task`, what there is of a container, and the `nursery`, which knows
//! none of them: what crosses its socket is `payload`'s. No file imports one that imports it.
//!
//! Unsafe code lives in `nursery::births::guest` (it vouches for code that our own compiler made), in `serve`
//! (it hands the listening socket to the ttrpc server) and in `awaited` (descriptors under tokio).

mod apart;
mod asker;
mod awaited;
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

/// What lists of processes call the daemon: at most 15 bytes.
const NAME: &CStr = c"lighter-daemon";

/// What a daemon's program does: all of them are the same, but for the engines that are linked in.
pub fn daemon_main() -> ExitCode {
    main(|flags| {
        // Before anything else, for all that are born of it have it from their first instruction on: nobody in a
        // container may look into a process that has something of the host's. Executing a program takes it back.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context("cannot forbid looking into the process")?;
        // It was executed by a number, which people would read in lists of processes.
        rustix::thread::set_name(NAME).context("cannot name the process")?;
        match flags.action.as_str() {
            _ if flags.version => info::print_engines(),
            "start" => serve::run(flags),
            "delete" => delete::thoroughly(flags),
            _ => bail!("containerd-shim-lighter-v1 runs this program"),
        }
    })
}

/// Reads the command line, in containerd's conventions, and does what it says.
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
