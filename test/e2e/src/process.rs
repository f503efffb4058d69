//! One child process of the tests: its output, and its time limit. Never waits without a limit.

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::output::Output;

/// The timeout of anything that should take a moment.
pub const LIMIT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(4);
/// How long an exited child's pipes may stay open in a process it left behind.
const PIPES: Duration = Duration::from_secs(2);

/// How many times slower than normal this machine is: every limit of the tests is multiplied by it.
pub static SLOW: LazyLock<u32> = LazyLock::new(|| {
    env::var("LIGHTER_E2E_SLOW").map_or(1, |times| times.parse().expect("LIGHTER_E2E_SLOW: a number"))
});

/// A running child process; killed when dropped.
pub struct Running {
    child: Child,
    name: String,
    stdin: Option<ChildStdin>,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// Runs `command` with an empty stdin to its end.
///
/// # Errors
/// When it cannot be started or takes longer than [`LIMIT`]; an exit code is no error.
pub fn run(command: &mut Command) -> Result<Output> {
    let mut running = Running::start(command)?;
    running.feed("")?;
    running.finish(LIMIT)
}

/// Calls `answer` until it returns a value.
///
/// # Errors
/// The first error of `answer`, or that `what` took longer than `limit`.
pub fn poll<T>(what: &str, limit: Duration, mut answer: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let limit = limit * *SLOW;
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = answer()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        thread::sleep(TICK);
    }
}

impl Running {
    /// Starts `command` with all three streams piped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = [
            child.stdout.take().map(|pipe| collect(pipe, Arc::clone(&stdout))),
            child.stderr.take().map(|pipe| collect(pipe, Arc::clone(&stderr))),
        ];
        let stdin = child.stdin.take();
        Ok(Self { child, name, stdin, stdout, stderr, readers: readers.into_iter().flatten().collect() })
    }

    /// Writes `text` to its stdin, which stays open.
    ///
    /// # Errors
    /// When its stdin is closed.
    pub fn types(&mut self, text: &str) -> Result<()> {
        let Some(stdin) = self.stdin.as_mut() else { bail!("{}: stdin is closed", self.name) };
        Ok(stdin.write_all(text.as_bytes())?)
    }

    /// Writes `text` to its stdin and closes it. That the child ended without reading is no error here: its exit code
    /// and its stderr show why.
    ///
    /// # Errors
    /// When the text cannot be written to a child that still reads.
    pub fn feed(&mut self, text: &str) -> Result<()> {
        let Some(mut stdin) = self.stdin.take() else { bail!("{}: stdin is closed", self.name) };
        match stdin.write_all(text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).with_context(|| format!("stdin of {}", self.name))
            }
            _ => Ok(()),
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the kernel cannot report it.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Its stdout so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stdout)).into_owned()
    }

    /// Waits until its stdout contains `text`.
    ///
    /// # Errors
    /// When it ends or `limit` passes without that output.
    pub fn says(&mut self, text: &str, limit: Duration) -> Result<()> {
        poll(&format!("{text:?} from {}", self.name), limit, || {
            let ended = self.child.try_wait()?;
            match (self.stdout().contains(text), ended) {
                (true, _) => Ok(Some(())),
                (false, None) => Ok(None),
                (false, Some(status)) => bail!("{status} before it said {text:?}: {}", self.stderr()),
            }
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When `limit` passes first; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        drop(self.stdin.take());
        let limit = limit * *SLOW;
        let end = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() < end => thread::sleep(TICK),
                None => return Err(self.late(limit)),
            }
        };
        let drained = Instant::now() + PIPES * *SLOW;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < drained {
            thread::sleep(TICK);
        }
        Ok(Output { code: code(status), stdout: self.stdout(), stderr: self.stderr() })
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stderr)).into_owned()
    }

    fn late(&self, limit: Duration) -> anyhow::Error {
        let (name, stdout, stderr) = (&self.name, self.stdout(), self.stderr());
        anyhow!("{name} did not end within {} s; stdout {stdout:?}, stderr {stderr:?}", limit.as_secs())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only on a child that has ended, which is fine.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut block = [0; 8192];
        loop {
            match pipe.read(&mut block) {
                Ok(0) => break,
                Ok(count) => lock(&into).extend_from_slice(&block[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    lock(&into).extend_from_slice(format!("\n[the pipe broke: {error}]\n").as_bytes());
                    break;
                }
            }
        }
    })
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
