//! Parses the expected outcome of a case: the directives that headers and the table of differences share.

use crate::Expected;
use crate::directive::once;

/// The expectations read so far.
#[derive(Default)]
pub struct Expectation {
    exit: Option<u8>,
    stdout: Option<String>,
    stderr: Vec<String>,
    create: Vec<String>,
}

impl Expectation {
    /// Adds one directive.
    ///
    /// # Errors
    /// A clause about what is wrong with it.
    pub fn directive(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "EXIT" => once(&mut self.exit, value.parse().map_err(|_| "wants a number from 0 to 255")?),
            "STDOUT" => {
                match &mut self.stdout {
                    Some(lines) => *lines = format!("{lines}\n{value}"),
                    None => self.stdout = Some(value.into()),
                }
                Ok(())
            }
            "STDERR" => filled(value).map(|part| self.stderr.push(part)),
            "CREATE" => filled(value).map(|part| self.create.push(part)),
            _ => Err("unknown directive".into()),
        }
    }

    /// The outcome that all of them together describe.
    ///
    /// # Errors
    /// A sentence, when two contradict each other.
    pub fn finish(self) -> Result<Expected, String> {
        if self.create.is_empty() {
            Ok(Expected::Exit { code: self.exit.unwrap_or(0), stdout: self.stdout, stderr: self.stderr })
        } else if self.exit.is_some() || self.stdout.is_some() || !self.stderr.is_empty() {
            Err("CREATE says the task never runs: no EXIT, STDOUT or STDERR beside it".into())
        } else {
            Ok(Expected::Refused(self.create))
        }
    }
}

fn filled(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("is empty, which everything contains".into()) } else { Ok(value.into()) }
}
