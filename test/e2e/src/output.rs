//! What a process left behind it, and what a test expects of that, to be chained like a sentence.

use anyhow::{Result, bail};

/// What a process left: its exit code, what it said, how long it ran.
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
    /// The output, when the exit code is 0.
    ///
    /// # Errors
    /// Any other exit code, with what was said.
    pub fn ok(self) -> Result<Self> {
        self.exits(0)
    }

    /// The output, when the exit code is `code`.
    ///
    /// # Errors
    /// Any other exit code, with what was said.
    pub fn exits(self, code: i32) -> Result<Self> {
        if self.code == code {
            return Ok(self);
        }
        bail!("exit code {} instead of {code}; stdout {:?}, stderr {:?}", self.code, self.stdout, self.stderr)
    }

    /// The output, when stdout is `text`, a last newline aside.
    ///
    /// # Errors
    /// Any other stdout.
    pub fn prints(self, text: &str) -> Result<Self> {
        if self.stdout.strip_suffix('\n').unwrap_or(&self.stdout) == text {
            return Ok(self);
        }
        bail!("stdout {:?} instead of {text:?}; stderr {:?}", self.stdout, self.stderr)
    }

    /// The output, when stderr contains `part`.
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
