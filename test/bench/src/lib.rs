//! Benchmarks of what a user feels, as ratios: what they measure, how, and how it is told.
//!
//! [`subject`] says what is compared; [`clock`] times one `ctr run`, [`socket`] drives a shim by itself,
//! [`memory`] counts what pods hold, [`mounts`] makes a large node; [`figures`] makes few numbers of many,
//! [`report`] prints and stores them, [`plot`] draws. Nothing here judges: a slow run is no failure.

pub mod clock;
pub mod figures;
pub mod load;
pub mod memory;
pub mod mounts;
pub mod plot;
pub mod report;
pub mod socket;
pub mod subject;
