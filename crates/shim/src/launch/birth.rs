//! What the birth of every process takes: what a guest is told and given, and the score by which it is killed.

use std::fs::File;
use std::os::fd::BorrowedFd;

use workload::Workload;

use super::code::Code;
use crate::guest_memory::GuestMemory;
use crate::payload::{BoundFd, CodeFd, GuestFiles, Payload, PayloadFd};

/// What a guest's process is told and given, beside its streams.
pub struct Given<'a> {
    payload: PayloadFd<File>,
    code: CodeFd<File>,
    bound: BoundFd<File>,
    memory: &'a GuestMemory,
}

impl<'a> Given<'a> {
    /// For the guest of `code` in a container whose guests have `memory`.
    pub fn of(workload: &Workload, code: Code, memory: &'a GuestMemory) -> anyhow::Result<Self> {
        let Code { guest, engine, file: code } = code;
        let payload = PayloadFd::of(&Payload { workload: workload.clone(), guest, engine })?;
        Ok(Self { payload, code, bound: memory.bound()?, memory })
    }

    /// What it is told.
    pub fn payload(&self) -> PayloadFd<BorrowedFd<'_>> {
        self.payload.borrowed()
    }

    /// What it is given.
    pub fn files(&self) -> GuestFiles<BorrowedFd<'_>> {
        GuestFiles { code: self.code.borrowed(), bound: self.bound.borrowed(), wanted: self.memory.wanted() }
    }
}

/// Sets the spec's OOM score from outside, where it does not need the box's cooperation. Hosts that do
/// not let the daemon lower it run the container with what it has: it is no reason not to run.
pub fn set_oom_score(id: &str, score: Option<i32>, pid: i32) {
    let Some(score) = score else { return };
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        log::warn!("container {id}: cannot set the OOM score to {score}: {error}");
    }
}
