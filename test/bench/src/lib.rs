//! Benchmarks of what a user feels, as ratios: what they measure, how, and how it is told.
//!
//! [`subject`] says what is compared, [`clock`] times one `ctr run`, [`figures`] makes few numbers
//! of many, [`report`] prints and stores them. Nothing here judges: a slow run is no failure.

pub mod clock;
pub mod figures;
pub mod report;
pub mod subject;
