//! The result of a process, and chainable checks on it.

use anyhow::{Result, bail};

/// The result of a process: its exit code and its output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; 128 plus the signal where a signal ended it.
    pub code: i32,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
}

impl Output {
    /// The output, if the exit code is 0.
    ///
    /// # Errors
    /// Any other exit code, with the output.
    pub fn ok(self) -> Result<Self> {
        self.exits(0)
    }

    /// The output, if the exit code is `code`.
    ///
    /// # Errors
    /// Any other exit code, with the output.
    pub fn exits(self, code: i32) -> Result<Self> {
        if self.code == code {
            return Ok(self);
        }
        bail!("exit code {} instead of {code}; stdout {:?}, stderr {:?}", self.code, self.stdout, self.stderr)
    }

    /// The output, if stdout is `text`, a final newline aside.
    ///
    /// # Errors
    /// Any other stdout.
    pub fn prints(self, text: &str) -> Result<Self> {
        if self.stdout.strip_suffix('\n').unwrap_or(&self.stdout) == text {
            return Ok(self);
        }
        bail!("stdout {:?} instead of {text:?}; stderr {:?}", self.stdout, self.stderr)
    }

    /// The output, if stderr contains `part`.
    ///
    /// # Errors
    /// A stderr without it.
    pub fn complains(self, part: &str) -> Result<Self> {
        if self.stderr.contains(part) {
            return Ok(self);
        }
        bail!("stderr does not say {part:?} but {:?}; exit code {}", self.stderr, self.code)
    }
}
