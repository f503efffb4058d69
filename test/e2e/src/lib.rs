//! End-to-end tests on real, private containerds: the tools, not the checks.
//!
//! `versions` finds the containerds and the shim, `containerd` runs one of them on an `image`, `ctr` drives it, or
//! `docker`, or `cri` as the kubelet does, `kubelet` makes pods of YAML, `http` talks to servers, `kernel` reads the
//! state of a process, `census` lists what is left behind, `runner` runs scenarios and prints a line for each. The
//! scenarios are in `tests/e2e`. No file knows how the shim is built.

pub mod background;
pub mod census;
pub mod cgroups;
mod config;
pub mod containerd;
pub mod cri;
pub mod ctr;
pub mod dns;
pub mod docker;
pub mod examples;
pub mod exec;
pub mod guests;
pub mod http;
pub mod image;
pub mod interrupt;
pub mod kernel;
pub mod kubelet;
pub mod net;
pub mod output;
pub mod process;
pub mod rootfs;
pub mod runner;
pub mod scope;
pub mod shim;
pub mod spec;
pub mod sweep;
pub mod tasks;
pub mod terminal;
pub mod unfit;
pub mod versions;
