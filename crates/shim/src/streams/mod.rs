//! The standard streams of one process, from the paths containerd names to the process's end: fifos go straight into
//! it, what goes to a terminal or into a file is carried, a logger is started beside it.

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
use logs::{Carried, PATIENCE};

use crate::awaited::readable;
use crate::lock::lock;
use crate::nursery::Nursery;
use crate::payload::{LoggerPipes, NewLogger, ReadyFd, Request, Stderr, Stdin, Stdio, Stdout};

/// How long a logger may take after the last output before it is told to end, and then before it is killed.
const LAST_LINES: [(Duration, i32); 2] =
    [(Duration::from_secs(2), libc::SIGTERM), (Duration::from_secs(10), libc::SIGKILL)];

/// How long a process's beginning waits for the reader of its output. A client that is there comes at once; for
/// one that has left, containerd wants to delete soon what is being created.
const READER_COMES: Duration = Duration::from_secs(2);
/// How long output waits for its reader after its process has ended, and how long a Delete waits for that.
const NO_READER: Duration = Duration::from_secs(10);
const DELETED: Duration = Duration::from_secs(1);
/// How long the exit of a process waits to be told until its output begins to be read.
const READING_BEGINS: Duration = Duration::from_secs(1);
/// How often to look whether the reader has come: the kernel tells nobody.
const LOOK: Duration = Duration::from_millis(2);
/// How long a logger may take until it is ready to read.
const READY: Duration = Duration::from_secs(10);

/// Who gives birth to containers and their loggers, and for which namespace of containerd's.
#[derive(Clone, Copy)]
pub struct Launcher<'a> {
    /// What they are born of.
    pub nursery: &'a Arc<Nursery>,
    /// containerd's namespace, which a logger is told.
    pub namespace: &'a str,
}

/// What a process is given, and what the daemon keeps.
pub struct Opened {
    /// Standard input, output and error of the process itself.
    pub process: Stdio<OwnedFd>,
    /// The rest.
    pub streams: Streams,
}

/// What the daemon keeps until the process has ended.
#[derive(Default)]
pub struct Streams {
    hold: Mutex<Option<Hold>>,
    unread: Mutex<Option<JoinHandle<()>>>,
    console: Option<Console>,
    logs: Vec<Carried>,
    logger: Option<Reader>,
}

/// A logger that runs, reaped by whoever sees its end first: nobody needs to wait for it.
struct Reader {
    born: Arc<Born>,
    ended: JoinHandle<()>,
}

/// Opens the streams of a process whose terminal, if it has one, the daemon makes.
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

/// Opens the streams without a terminal's being between them and the process.
///
/// # Errors
/// Names the path that is missing.
pub async fn open_ends(launcher: Launcher<'_>, workload: &Workload, paths: &Paths) -> anyhow::Result<Opened> {
    let asked = &workload.options;
    let uid = if asked.io_uid == 0 { workload.host_uid() } else { asked.io_uid };
    // A terminal is one stream; clients name a third path all the same, and make nothing there.
    let stderr = if workload.terminal() { String::new() } else { paths.stderr.clone() };
    let paths = Paths { stderr, ..paths.clone() };
    let writers = await_readers(&workload.id, &paths).await;
    let stdio::Stdio { process, hold, logs, logger } = stdio::open(&paths, Owner { uid, gid: asked.io_gid })?;
    drop(writers);
    let logger = match logger {
        Some(logger) => Some(start_logger(launcher, &workload.id, logger).await?),
        None => None,
    };
    let logs =
        logs.into_iter().map(|log| Carried::begin(&workload.id, log)).collect::<anyhow::Result<_>>()?;
    let hold = Mutex::new(Some(hold));
    let streams = Streams { hold, logs, logger, ..Streams::default() };
    Ok(Opened { process: process.into(), streams })
}

/// Waits until somebody reads the fifos, as runc's shim does: containerd's client opens them in its own time,
/// and gives up what it has not opened when the process has ended.
async fn await_readers(id: &str, paths: &Paths) -> Writers {
    let (waited, mut writers) = (Instant::now(), Writers::of(paths));
    while !writers.all_are_read() {
        if waited.elapsed() > READER_COMES {
            log::warn!("container {id}: nobody reads {:?} and {:?}", paths.stdout, paths.stderr);
            break;
        }
        sleep(LOOK).await;
    }
    writers
}

/// Waits until the readers of what was written have read of it: containerd's client opens its ends in threads of its
/// own, and closes, when it is told of the exit, what it has not yet found to be open, read or not.
async fn reading_began(unread: &Unread) {
    let (waited, written) = (Instant::now(), unread.bytes());
    let is_untouched = || unread.bytes().iter().zip(&written).any(|(left, all)| *left > 0 && left == all);
    while is_untouched() && waited.elapsed() < READING_BEGINS {
        sleep(LOOK).await;
    }
}

impl Opened {
    /// Puts a terminal, which the process already has, between it and the streams.
    ///
    /// # Errors
    /// When the terminal cannot be awaited.
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
    /// Lets go of standard input: once the client has too, the process reads end of file.
    pub fn close_stdin(&self) {
        if let Some(hold) = lock(&self.hold).as_mut() {
            hold.close_stdin();
        }
    }

    /// Gives the terminal's window another size.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn resize(&self, columns: u32, rows: u32) -> anyhow::Result<()> {
        match &self.console {
            Some(console) => console.resize(columns, rows).context("cannot resize the terminal"),
            // As runc's shim: clients resize whatever they are attached to.
            None => Ok(()),
        }
    }

    /// Lets go of the fifos of an ended process, whose readers see the end when the last output is read; a reader who
    /// is not there yet is waited for, within reason.
    fn let_go(&self) -> Option<Arc<Unread>> {
        let unread = Arc::new(lock(&self.hold).take()?.let_go());
        let awaited = Arc::clone(&unread);
        let waits = tokio::spawn(async move {
            let waited = Instant::now();
            while !awaited.has_readers() && waited.elapsed() < NO_READER {
                sleep(LOOK).await;
            }
        });
        *lock(&self.unread) = Some(waits);
        Some(unread)
    }

    /// Waits, within reason, until what the ended process of container `id` wrote is read, or in its logs.
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

    /// Waits for the last output of an ended process, within reason.
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

/// Starts the program that reads the output, and waits until it is ready: it closes its descriptor 5, or
/// writes to it.
async fn start_logger(launcher: Launcher<'_>, id: &str, logger: Logger) -> anyhow::Result<Reader> {
    let (ready, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let env = [("CONTAINER_ID", id), ("CONTAINER_NAMESPACE", launcher.namespace)];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let program = logger.command.first().cloned().unwrap_or_default();
    let [out, err] = &logger.pipes;
    let (stdout, stderr, ready_end) = (Stdout(out.as_fd()), Stderr(err.as_fd()), ReadyFd(tell.as_fd()));
    let pipes = LoggerPipes { stdout, stderr, ready: ready_end };
    let request = Request::Logger(NewLogger { command: logger.command, env, pipes });
    let (born, line) = launcher.nursery.birth(request).await?;
    drop(tell);
    let reader = Reader::of(launcher.nursery, born);
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

impl Reader {
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
            // It may end between the two.
            drop(process::signal(&self.born.pidfd, signal));
        }
    }
}
