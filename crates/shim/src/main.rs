//! `containerd-shim-lighter-v1`: ttrpc in, events out, Wasm guests in between.
//!
//! containerd executes this program to `start` a pod's daemon, to clean up after one (`delete`) and
//! to ask what it can do (`-info`). The daemon is a fork of `start`; its nursery is a fork of the
//! daemon, made before there is any thread; each guest is a fork of the nursery.
//!
//! Unsafe code lives in `nursery::births::guest` (it vouches for code that our own compiler made), in `daemon`
//! (it hands the listening socket to the ttrpc server) and in `awaited` (descriptors under tokio).

mod apart;
mod awaited;
mod code;
mod console;
mod daemon;
mod delete;
mod engines;
mod events;
mod info;
mod log_fifo;
mod nursery;
mod oom;
mod options;
mod payload;
mod record;
mod rpc;
mod socket;
mod start;
mod streams;
mod task;

use std::process::ExitCode;

use anyhow::{Context, bail};
use containerd_shim::Flags;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // containerd shows what the shim prints on standard error.
            eprintln!("containerd-shim-lighter-v1: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let flags: Flags = containerd_shim::parse(&args).context("cannot read the command line")?;
    match flags.action.as_str() {
        _ if flags.version => info::print_version(),
        _ if flags.info => info::print_runtime_info(),
        "start" => start::start(&flags),
        "delete" => delete::delete(&flags),
        "" => bail!("containerd runs this program; it takes start, delete, -info or -version"),
        action => bail!("there is no action {action:?}; there are start, delete, -info and -version"),
    }
}
