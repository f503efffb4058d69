//! A stand-in for Dapr's sidecar, with as much of its HTTP API as the tests of pods need, and a
//! proxy to which a pod's traffic is redirected.
//!
//! `flags` parses the command line of Dapr's injector, `api` answers, `app` is the program beside
//! it, `state`, `secrets` and `bus` are the building blocks, all in memory, `routes` records which
//! routes were used. Both programs use `http`.

pub mod api;
pub mod app;
pub mod bus;
pub mod flags;
pub mod http;
pub mod routes;
pub mod secrets;
pub mod state;
pub mod system;
