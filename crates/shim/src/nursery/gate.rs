//! The gate of a guest: it is loaded and waits for the order to run.

use anyhow::Context;
use workload::Workload;

use super::line::{Line, out_of_turn};
use crate::payload::{Order, Report};

/// The gate of one guest.
pub struct Gate {
    line: Line,
    /// See [`Report::Ready`].
    confirms: bool,
}

impl Gate {
    /// Waits until the guest of `workload` is loaded, and logs the durations of its steps.
    ///
    /// # Errors
    /// Why it could not be loaded.
    pub async fn reached(workload: &Workload, line: Line) -> anyhow::Result<Self> {
        match line.report().await? {
            Some(Report::Ready { steps, confirms }) => {
                let steps: Vec<_> = steps.iter().map(|(step, took)| format!("{step} {took}")).collect();
                log::debug!("container {}: its process, in µs: {}", workload.id, steps.join(", "));
                Ok(Self { line, confirms })
            }
            other => Err(out_of_turn(other)),
        }
    }

    /// Lets the guest run, and waits for the steps before that may fail.
    ///
    /// # Errors
    /// The failure of such a step; when the process is gone.
    pub async fn open(&self) -> anyhow::Result<()> {
        self.line.send(Order::Go).context("the container's process is gone")?;
        if self.confirms {
            self.line.expect(|report| matches!(report, Report::Done)).await?;
        }
        Ok(())
    }
}
