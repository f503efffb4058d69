//! The box: everything between an OCI spec and the kernel.
//!
//! Namespaces, mounts, cgroups, privileges, stdio and processes, for Wasm guests ([`wasm_box`]) and
//! for Linux programs ([`native`]). The only crate that knows libcontainer and libcgroups. It knows
//! no engine, no ttrpc and starts no thread.
//!
//! Unsafe code lives in [`birth`] (clone3), `cgroup::devices::kernel` (bpf), [`ending`] (a signal handler), `keyring`
//! (keyctl), [`lease`] (fcntl), `loopback` (an ioctl), [`process`] (real-time signals), [`title`] (prctl and
//! sbrk) and the tests of [`seccomp`].

pub mod bare;
pub mod birth;
pub mod cgroup;
pub mod channel;
pub mod compiler;
pub mod ending;
pub mod entrypoint;
pub mod exec;
pub mod hooks;
mod idmap;
pub mod inside;
mod keyring;
pub mod layers;
pub mod lease;
pub mod listeners;
mod loopback;
pub mod mounts;
pub mod namespaces;
pub mod native;
pub mod places;
pub mod privileges;
pub mod process;
mod profile;
pub mod program;
pub mod rootfs;
pub mod sealed;
pub mod seccomp;
mod sentence;
pub mod source;
mod stage;
pub mod stdio;
pub mod terminal;
pub mod title;
mod trees;
mod volumes;
pub mod wasm_box;
