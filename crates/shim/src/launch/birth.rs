//! What all births share: the inputs of a guest's process, and the OOM score.

use std::fs::File;
use std::os::fd::BorrowedFd;

use workload::Workload;

use super::code::GuestCode;
use crate::guest_memory::GuestMemory;
use crate::payload::{BoundFd, CodeFd, GuestFiles, Payload, PayloadFd};

/// The data and the files of a guest's process, without its streams.
pub struct GuestInputs<'a> {
    payload: PayloadFd<File>,
    code: CodeFd<File>,
    bound: BoundFd<File>,
    memory: &'a GuestMemory,
}

impl<'a> GuestInputs<'a> {
    /// The inputs for the guest of `code` in a container whose guests have `memory`.
    pub fn of(workload: &Workload, code: GuestCode, memory: &'a GuestMemory) -> anyhow::Result<Self> {
        let GuestCode { guest, engine, file: code } = code;
        let payload = PayloadFd::of(&Payload { workload: workload.clone(), guest, engine })?;
        Ok(Self { payload, code, bound: memory.bound()?, memory })
    }

    /// The payload, for sending.
    pub fn payload(&self) -> PayloadFd<BorrowedFd<'_>> {
        self.payload.borrowed()
    }

    /// The files, for sending.
    pub fn files(&self) -> GuestFiles<BorrowedFd<'_>> {
        GuestFiles {
            code: self.code.borrowed(),
            bound: self.bound.borrowed(),
            oom_event: self.memory.oom_event(),
        }
    }
}

/// Sets the spec's OOM score from outside, without the process's cooperation. If the host does not allow lowering it,
/// the container runs with the score that it has.
pub fn set_oom_score(id: &str, score: Option<i32>, pid: i32) {
    let Some(score) = score else { return };
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        log::warn!("container {id}: cannot set the OOM score to {score}: {error}");
    }
}
