//! What every WASI guest is given, whatever its version of WASI: arguments, environment, folders,
//! standard streams, clocks, chance and the box's network.

use std::sync::Arc;

use network::Egress;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi_config::WasiConfigVariables;
use workload::Guest;

use crate::{clock, preopens, stdio};

/// Gathers it, with the first `reserved` descriptors of preview 1 taken for sockets. Called in the guest's own process: random numbers are seeded here, and must not be
/// in a process that is forked afterwards.
///
/// # Errors
/// Names the preopen that cannot be opened.
pub fn provide(guest: &Guest, reserved: usize, egress: &Arc<Egress>) -> anyhow::Result<WasiCtxBuilder> {
    let mut builder = provide_plain(guest, egress);
    builder.stdin(stdio::Stdin::default());
    preopens::reserve(reserved, &mut builder)?;
    preopens::open(&guest.preopens, &mut builder)?;
    Ok(builder)
}

/// The same without folders and with nothing to read: for the copies of a guest, which share the one and have
/// no use for the other.
pub fn provide_plain(guest: &Guest, egress: &Arc<Egress>) -> WasiCtxBuilder {
    let judge = Arc::clone(egress);
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&guest.args)
        .envs(&guest.env)
        .initial_cwd(&guest.cwd)
        .stdout(stdio::Output::stdout())
        .stderr(stdio::Output::stderr())
        // Files are read and written in place: a guest's process has no other thread to do it.
        // Preopens remember it, so it comes before them.
        .allow_blocking_current_thread(true)
        .monotonic_clock(clock::Monotonic)
        .socket_addr_check(move |address, used| {
            let may = used_by_others(used) || judge.may_reach(address);
            Box::pin(async move { may })
        })
        .allow_tcp(true)
        .allow_udp(true)
        // It would ask the image's glibc and nsswitch.
        .allow_ip_name_lookup(false);
    builder
}

/// Whether it is the others who reach the guest.
fn used_by_others(used: SocketAddrUse) -> bool {
    !matches!(used, SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend)
}

/// The guest's environment as `wasi:config` shows it.
pub fn config(guest: &Guest) -> Arc<WasiConfigVariables> {
    Arc::new(guest.env.iter().cloned().collect())
}
