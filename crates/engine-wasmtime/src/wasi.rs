//! What every WASI guest is given, whatever its version of WASI: arguments, environment, folders,
//! standard streams, clocks, chance and the box's network.

use wasmtime_wasi::WasiCtxBuilder;
use workload::Guest;

use crate::{preopens, stdio};

/// Gathers it. Called in the guest's own process: random numbers are seeded here, and must not be
/// in a process that is forked afterwards.
///
/// # Errors
/// Names the preopen that cannot be opened.
pub fn provide(guest: &Guest) -> anyhow::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&guest.args)
        .envs(&guest.env)
        .initial_cwd(&guest.cwd)
        .stdin(stdio::Stdin::default())
        .stdout(stdio::Output::stdout())
        .stderr(stdio::Output::stderr())
        // Files are read and written in place: a guest's process has no other thread to do it.
        // Preopens remember it, so it comes before them.
        .allow_blocking_current_thread(true)
        .inherit_network()
        .allow_tcp(true)
        .allow_udp(true)
        // It would ask the image's glibc and nsswitch.
        .allow_ip_name_lookup(false);
    preopens::open(&guest.preopens, &mut builder)?;
    Ok(builder)
}
