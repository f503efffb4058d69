//! A stand-in for Dapr's sidecar, which speaks as much of its HTTP API as the tests of pods need, and a
//! proxy to which a pod's traffic is redirected.
//!
//! `flags` reads a command line as Dapr's injector writes it, `api` answers, `app` is the program beside
//! it, `state`, `secrets` and `bus` are the building blocks, all in memory, `asked` remembers which
//! routes were used. `http` is what both programs serve and send with.

pub mod api;
pub mod app;
pub mod asked;
pub mod bus;
pub mod flags;
pub mod http;
pub mod secrets;
pub mod state;
pub mod system;
