//! Where a guest that is loaded waits to be let go.

use anyhow::Context;
use workload::Workload;

use super::line::{Line, out_of_turn};
use crate::payload::{Order, Report};

/// The gate of one guest.
pub struct Gate {
    line: Line,
    tells: bool,
}

impl Gate {
    /// Waits until the guest of `workload` is there; the log tells in detail how it came there.
    ///
    /// # Errors
    /// Why it did not come.
    pub async fn reached(workload: &Workload, line: Line) -> anyhow::Result<Self> {
        match line.report().await? {
            Some(Report::Ready { steps, tells }) => {
                let steps: Vec<_> = steps.iter().map(|(step, took)| format!("{step} {took}")).collect();
                log::debug!("container {}: its process, in µs: {}", workload.id, steps.join(", "));
                Ok(Self { line, tells })
            }
            other => Err(out_of_turn(other)),
        }
    }

    /// Lets the guest go, and waits for what may fail before it runs.
    ///
    /// # Errors
    /// What failed; when the process is gone.
    pub async fn open(&self) -> anyhow::Result<()> {
        self.line.send(Order::Go).context("the container's process is gone")?;
        if self.tells {
            self.line.expect(|report| matches!(report, Report::Done)).await?;
        }
        Ok(())
    }
}
