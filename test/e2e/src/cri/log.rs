//! A container's output, as containerd logs it for the kubelet: one record a line, with the time, the stream, and
//! whether the line is complete.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::container::Container;
use crate::output::Output;
use crate::process::{LIMIT, poll};

/// A log that does not grow for this long is complete.
const QUIET: Duration = Duration::from_millis(30);

impl Container<'_> {
    /// Waits for its end; returns its exit code and output.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn finish(&self) -> Result<Output> {
        let code = self.ended()?.exit_code;
        // containerd may still be writing the last lines when it reports the end.
        let mut before = None;
        poll("the log's end", LIMIT, || {
            let now = fs::metadata(&self.log)?.len();
            thread::sleep(QUIET);
            Ok((before.replace(now) == Some(now)).then_some(()))
        })?;
        Ok(Output { code, stdout: self.log_of("stdout")?, stderr: self.log_of("stderr")? })
    }

    /// Waits until its standard output contains `text`.
    ///
    /// # Errors
    /// When it does not do so in time.
    pub fn says(&self, text: &str) -> Result<()> {
        let said = || Ok(self.log_of("stdout").unwrap_or_default().contains(text).then_some(()));
        poll(&format!("{text:?} in the log"), Duration::from_secs(10), said)
            .with_context(|| format!("it logged {:?}", self.log()))
    }

    /// The lines of its log: time, stream, `F` for full or `P` for partial, text.
    ///
    /// # Errors
    /// When the log is missing or a line is not in Kubernetes' format.
    pub fn log(&self) -> Result<Vec<[String; 4]>> {
        let text = fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())?;
        text.lines().map(line).collect()
    }

    fn log_of(&self, stream: &str) -> Result<String> {
        let mut text = String::new();
        for [_, _, whole, said] in self.log()?.into_iter().filter(|[_, of, ..]| of == stream) {
            text += &said;
            text += if whole == "F" { "\n" } else { "" };
        }
        Ok(text)
    }
}

fn line(line: &str) -> Result<[String; 4]> {
    let words: Vec<String> = line.splitn(4, ' ').map(Into::into).collect();
    match <[String; 4]>::try_from(words) {
        Ok(words) if ["P", "F"].contains(&&*words[2]) => Ok(words),
        _ => bail!("{line:?} is no line of a log of Kubernetes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_a_log() {
        let read = line("2016-10-06T00:17:09.669794202Z stdout F a b").unwrap();
        assert_eq!(read[1..], ["stdout", "F", "a b"]);
        assert!(line("a b").is_err());
    }
}
