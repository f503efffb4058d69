//! The standard streams of one process, from the paths that containerd passes to the process's exit: it gets fifos
//! directly, the daemon copies the output to terminals and files, and starts a logger if one is named.

mod console;
mod logs;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use container::birth::Born;
use container::stdio::{self, Hold, Logger, Owner, Paths, Unread, Writers};
use container::{process, terminal};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use workload::Workload;

use console::Console;
use logs::{LogCopier, PATIENCE};

use crate::awaited::readable;
use crate::lock::lock;
use crate::nursery::Nursery;
use crate::payload::{LoggerPipes, NewLogger, NurseryRequest, ReadyFd, Stderr, Stdin, Stdio, Stdout};

/// How long a logger may take after the last output before it receives SIGTERM, and then before it is killed.
const LAST_LINES: [(Duration, i32); 2] =
    [(Duration::from_secs(2), libc::SIGTERM), (Duration::from_secs(10), libc::SIGKILL)];

/// How long a process's start waits for the readers of its output. A client opens its fifos at once; if it has left,
/// containerd soon wants to delete what is being created.
const READER_COMES: Duration = Duration::from_secs(2);
/// How long output is kept for its reader after the process has ended, and how long a Delete waits for that.
const NO_READER: Duration = Duration::from_secs(10);
const DELETED: Duration = Duration::from_secs(1);
/// How long the report of an exit waits for the output to begin to be read.
const READING_BEGINS: Duration = Duration::from_secs(1);
/// The interval of polling for readers: the kernel has no notification for them.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The timeout for a logger to become ready.
const READY: Duration = Duration::from_secs(10);

/// Spawns containers and their loggers, for one namespace of containerd.
#[derive(Clone, Copy)]
pub struct Launcher<'a> {
    /// The nursery that spawns them.
    pub nursery: &'a Arc<Nursery>,
    /// containerd's namespace, which is passed to loggers.
    pub namespace: &'a str,
}

/// The streams of a process, and the daemon's side of them.
pub struct Opened {
    /// Standard input, output and error of the process.
    pub process: Stdio<OwnedFd>,
    /// The daemon's side.
    pub streams: Streams,
}

/// The daemon's side of a process's streams, kept until the process has ended.
#[derive(Default)]
pub struct Streams {
    hold: Mutex<Option<Hold>>,
    unread: Mutex<Option<JoinHandle<()>>>,
    console: Option<Console>,
    logs: Vec<LogCopier>,
    logger: Option<LoggerProcess>,
}

/// A running logger. A task waits for its exit and reaps it.
struct LoggerProcess {
    born: Arc<Born>,
    ended: JoinHandle<()>,
}

/// Opens the streams of a process; the daemon makes its terminal, if it has one.
///
/// # Errors
/// Names the path that is missing.
pub async fn open(launcher: Launcher<'_>, workload: &Workload, paths: &Paths) -> anyhow::Result<Opened> {
    if !workload.terminal() {
        return open_ends(launcher, workload, paths).await;
    }
    let (ours, theirs) = terminal::pair(workload.host_uid())?;
    let mut opened = open_ends(launcher, workload, paths).await?;
    opened.streams.console = Some(carry(workload, ours, opened.process)?);
    let process = Stdio::from([theirs.try_clone()?, theirs.try_clone()?, theirs]);
    Ok(Opened { process, streams: opened.streams })
}

/// Opens the streams without putting a terminal in between.
///
/// # Errors
/// Names the path that is missing.
pub async fn open_ends(launcher: Launcher<'_>, workload: &Workload, paths: &Paths) -> anyhow::Result<Opened> {
    let options = &workload.options;
    let uid = if options.io_uid == 0 { workload.host_uid() } else { options.io_uid };
    // A terminal has no standard error; clients pass a path for it all the same, but do not create the fifo.
    let stderr = if workload.terminal() { String::new() } else { paths.stderr.clone() };
    let paths = Paths { stderr, ..paths.clone() };
    let writers = await_readers(&workload.id, &paths).await;
    let stdio::Stdio { process, hold, logs, logger } =
        stdio::open(&paths, Owner { uid, gid: options.io_gid })?;
    drop(writers);
    let logger = match logger {
        Some(logger) => Some(start_logger(launcher, &workload.id, logger).await?),
        None => None,
    };
    let logs =
        logs.into_iter().map(|log| LogCopier::begin(&workload.id, log)).collect::<anyhow::Result<_>>()?;
    let hold = Mutex::new(Some(hold));
    let streams = Streams { hold, logs, logger, ..Streams::default() };
    Ok(Opened { process: process.into(), streams })
}

/// Waits until the fifos have readers, as runc's shim does: containerd's client opens them asynchronously, and gives up
/// those that it has not opened when the process has ended.
async fn await_readers(id: &str, paths: &Paths) -> Writers {
    let (waited, mut writers) = (Instant::now(), Writers::of(paths));
    while !writers.all_are_read() {
        if waited.elapsed() > READER_COMES {
            log::warn!("container {id}: no one reads {:?} and {:?}", paths.stdout, paths.stderr);
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    writers
}

/// Waits until the readers have begun to read the output: containerd's client opens its ends in threads of its own, and
/// on the exit event it closes those that it has not yet seen open, even if they are unread.
async fn reading_began(unread: &Unread) {
    let (waited, written) = (Instant::now(), unread.bytes());
    let is_untouched = || unread.bytes().iter().zip(&written).any(|(left, all)| *left > 0 && left == all);
    while is_untouched() && waited.elapsed() < READING_BEGINS {
        sleep(POLL_INTERVAL).await;
    }
}

impl Opened {
    /// Connects the streams to a terminal that the process already has.
    ///
    /// # Errors
    /// When the terminal cannot be polled.
    pub fn with_terminal(self, workload: &Workload, terminal: OwnedFd) -> anyhow::Result<Streams> {
        terminal::give(&terminal, workload.host_uid()).context("cannot give the terminal to its user")?;
        let console = carry(workload, terminal, self.process)?;
        Ok(Streams { console: Some(console), ..self.streams })
    }
}

fn carry(workload: &Workload, terminal: OwnedFd, process: Stdio<OwnedFd>) -> anyhow::Result<Console> {
    let Stdio { stdin: Stdin(stdin), stdout: Stdout(stdout), .. } = process;
    terminal::resize_to(&terminal, workload.process().console_size().as_ref())
        .context("cannot set the terminal's size")?;
    Console::carry(terminal, stdin, stdout)
}

impl Streams {
    /// Closes the daemon's end of standard input: once the client has closed its end too, the process reads EOF.
    pub fn close_stdin(&self) {
        if let Some(hold) = lock(&self.hold).as_mut() {
            hold.close_stdin();
        }
    }

    /// Sets the size of the terminal's window.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize(&self, columns: u32, rows: u32) -> anyhow::Result<()> {
        match &self.console {
            Some(console) => console.resize(columns, rows).context("cannot resize the terminal"),
            // As in runc's shim: clients resize any process that they are attached to.
            None => Ok(()),
        }
    }

    /// Closes the fifos of an ended process, so that their readers see EOF after the last output. If a reader has not
    /// come yet, a task keeps the output for a limited time.
    fn let_go(&self) -> Option<Arc<Unread>> {
        let unread = Arc::new(lock(&self.hold).take()?.let_go());
        let awaited = Arc::clone(&unread);
        let waits = tokio::spawn(async move {
            let waited = Instant::now();
            while !awaited.has_readers() && waited.elapsed() < NO_READER {
                sleep(POLL_INTERVAL).await;
            }
        });
        *lock(&self.unread) = Some(waits);
        Some(unread)
    }

    /// Waits, for a limited time, until the output of the ended process of container `id` is being read, or in its
    /// logs.
    pub fn settled(&self, id: &str) -> impl Future<Output = ()> + use<> {
        let unread = self.let_go();
        let latest = tokio::time::Instant::now() + PATIENCE;
        let logs: Vec<_> = self.logs.iter().map(|log| log.settled(id, latest)).collect();
        async {
            if let Some(unread) = unread {
                reading_began(&unread).await;
            }
            for log in logs {
                log.await;
            }
        }
    }

    /// Waits, for a limited time, for the last output of an ended process.
    pub async fn drained(&mut self) {
        let unread = lock(&self.unread).take();
        if let Some(mut unread) = unread
            && timeout(DELETED, &mut unread).await.is_err()
        {
            unread.abort();
        }
        if let Some(console) = self.console.take() {
            console.drained().await;
        }
        let latest = tokio::time::Instant::now() + PATIENCE;
        for log in std::mem::take(&mut self.logs) {
            log.drained(latest).await;
        }
        if let Some(logger) = self.logger.take() {
            logger.end().await;
        }
    }
}

/// Starts the logger, and waits until it is ready: it closes its descriptor 5, or writes to it.
async fn start_logger(launcher: Launcher<'_>, id: &str, logger: Logger) -> anyhow::Result<LoggerProcess> {
    let (ready, ready_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let env = [("CONTAINER_ID", id), ("CONTAINER_NAMESPACE", launcher.namespace)];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let program = logger.command.first().cloned().unwrap_or_default();
    let [out, err] = &logger.pipes;
    let (stdout, stderr, ready_end) =
        (Stdout(out.as_fd()), Stderr(err.as_fd()), ReadyFd(ready_writer.as_fd()));
    let pipes = LoggerPipes { stdout, stderr, ready: ready_end };
    let request = NurseryRequest::Logger(NewLogger { command: logger.command, env, pipes });
    let (born, line) = launcher.nursery.birth(request).await?;
    drop(ready_writer);
    let reader = LoggerProcess::of(launcher.nursery, born);
    line.report().await?;
    let ready = readable(ready)?;
    match timeout(READY, ready.readable()).await {
        Ok(answer) => answer.map(|_| reader).with_context(|| format!("cannot wait for the logger {program}")),
        Err(_) => {
            drop(process::signal(&reader.born.pidfd, libc::SIGKILL));
            bail!("the logger {program} is not ready after {} s", READY.as_secs())
        }
    }
}

impl LoggerProcess {
    fn of(nursery: &Arc<Nursery>, born: Born) -> Self {
        let (nursery, born) = (Arc::clone(nursery), Arc::new(born));
        let awaited = Arc::clone(&born);
        let ended = tokio::spawn(async move {
            if let Err(error) = nursery.ended(&awaited).await {
                log::error!("cannot wait for a logger: {error}");
            }
        });
        Self { born, ended }
    }

    async fn end(mut self) {
        for (patience, signal) in LAST_LINES {
            if timeout(patience, &mut self.ended).await.is_ok() {
                return;
            }
            // It may have ended since.
            drop(process::signal(&self.born.pidfd, signal));
        }
    }
}
