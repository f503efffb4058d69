//! Benchmarks of what users notice, as ratios: the subjects, the measuring and the reports.
//!
//! [`subject`] defines what is compared; [`clock`] times one `ctr run`, [`socket`] drives a shim alone, [`load`] a
//! server, [`memory`] counts what pods hold, [`mounts`] makes a large node; [`figures`] summarizes, [`report`] prints
//! and stores, [`plot`] draws. Nothing here judges: a slow run is no failure.

pub mod clock;
pub mod figures;
pub mod load;
pub mod memory;
pub mod mounts;
pub mod plot;
pub mod report;
pub mod socket;
pub mod subject;
