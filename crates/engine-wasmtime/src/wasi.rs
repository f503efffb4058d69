//! The WASI context of a guest, of any version of WASI: arguments, environment, preopens, standard streams, clocks,
//! random numbers and the container's network.

use std::sync::Arc;

use network::Egress;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi_config::WasiConfigVariables;
use workload::Guest;

use crate::{clock, preopens, stdio};

/// The context, with the first `reserved` descriptors of preview 1 reserved for sockets. Must be called in the guest's
/// own process: it seeds the random numbers, which a process forked later would share.
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

/// The same without preopens and with empty standard input: for the instances of a guest that answers requests, which
/// share the preopens and read no input.
pub fn provide_plain(guest: &Guest, egress: &Arc<Egress>) -> WasiCtxBuilder {
    let rules = Arc::clone(egress);
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&guest.args)
        .envs(&guest.env)
        .initial_cwd(&guest.cwd)
        .stdout(stdio::Output::stdout())
        .stderr(stdio::Output::stderr())
        // Reads and writes files on this thread: a guest's process has no other.
        // Set before the preopens, which copy the setting.
        .allow_blocking_current_thread(true)
        .monotonic_clock(clock::Monotonic)
        .socket_addr_check(move |address, used| {
            let may = is_incoming(used) || rules.may_reach(address);
            Box::pin(async move { may })
        })
        .allow_tcp(true)
        .allow_udp(true)
        // Wasmtime's would use the image's glibc and nsswitch; `lookup` replaces it.
        .allow_ip_name_lookup(false);
    builder
}

/// Whether the address is used for peers that reach the guest, not to reach a peer.
fn is_incoming(used: SocketAddrUse) -> bool {
    !matches!(used, SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend)
}

/// The guest's environment, for `wasi:config`.
pub fn config(guest: &Guest) -> Arc<WasiConfigVariables> {
    Arc::new(guest.env.iter().cloned().collect())
}
