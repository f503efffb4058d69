//! The messages on the nursery's socket and on the lines of its processes: plain data and named descriptors, never
//! pointers.

mod descriptors;
mod passed;
mod request;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use workload::Outline;

pub use descriptors::{
    BoundFd, CodeFd, Entrance, GuestFiles, HostFd, LineFd, LoggerPipes, NoteFd, OomFd, OutputFd, Payload,
    PayloadFd, PidFd, Prepared, ReadyFd, SpillFd, Stderr, Stdin, Stdio, Stdout, TerminalFd, WasmFd,
    WorkloadFd,
};
pub use passed::{Passed, Slot, received, send};
pub use request::{Birth, ExecGuest, ExecProgram, NewGuest, NewLogger, NurseryRequest, Prepare};

/// The nursery's messages: first whether it is ready, then a reply to each request.
#[derive(Debug, Serialize, Deserialize)]
pub enum NurseryReply<F = Slot> {
    /// Its engines are set up: their fingerprint, which is part of the key of compiled code.
    Ready(String),
    /// The process was born: its pid in the host's pid namespace.
    Born(i32, PidFd<F>),
    /// The request failed: the error.
    Failed(String),
}

/// A message from a new process to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report<F = Slot> {
    /// A midwife gave birth: the pid of the new process in the host's pid namespace.
    Delivered(i32, PidFd<F>),
    /// The Wasm was read, and is being compiled: its imports and exports.
    Outlined(Outline),
    /// The Wasm is compiled.
    Prepared(Prepared),
    /// The Wasm is compiled, and its code is in the second file: the error of writing to the first, the cache's.
    Spilled(Prepared, String),
    /// This Wasm can never be compiled: one sentence about why.
    Unfit(String),
    /// The native container waits to be started: the pid of its first process, and its terminal, if it has one.
    Created(i32, Option<TerminalFd<F>>),
    /// The executed program has a terminal.
    Terminal(TerminalFd<F>),
    /// The process is in its namespaces, and in its cgroup unless it is moved from outside, and waits for
    /// [`Order::Enter`].
    Joined,
    /// The guest is loaded and waits for [`Order::Go`].
    Ready {
        /// The steps so far, with their durations in microseconds.
        steps: Vec<(String, u64)>,
        /// Whether a step that may fail follows the gate: then the process reports its result.
        confirms: bool,
    },
    /// The errand is done.
    Done,
    /// The process failed: one sentence.
    Failed(String),
}

/// An order from the daemon to a new process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order<F = Slot> {
    /// Receive these for the box: its root and its volumes, or more of them.
    Take(Vec<F>),
    /// The cgroup, the id maps and the hooks outside are in place: build the box.
    Enter,
    /// Run the guest.
    Go,
}

impl<F> Passed<F> for NurseryReply<F> {
    type With<G> = NurseryReply<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<NurseryReply<G>> {
        Ok(match self {
            Self::Ready(fingerprint) => NurseryReply::Ready(fingerprint),
            Self::Born(pid, pidfd) => NurseryReply::Born(pid, PidFd(to("the new process", pidfd.0)?)),
            Self::Failed(sentence) => NurseryReply::Failed(sentence),
        })
    }
}

impl<F> Passed<F> for Report<F> {
    type With<G> = Report<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Report<G>> {
        const TERMINAL: &str = "the process's terminal";
        Ok(match self {
            Self::Delivered(pid, pidfd) => Report::Delivered(pid, PidFd(to("the new process", pidfd.0)?)),
            Self::Outlined(outline) => Report::Outlined(outline),
            Self::Prepared(prepared) => Report::Prepared(prepared),
            Self::Spilled(prepared, why) => Report::Spilled(prepared, why),
            Self::Unfit(sentence) => Report::Unfit(sentence),
            Self::Created(pid, terminal) => {
                let terminal = terminal.map(|terminal| to(TERMINAL, terminal.0).map(TerminalFd));
                Report::Created(pid, terminal.transpose()?)
            }
            Self::Terminal(terminal) => Report::Terminal(TerminalFd(to(TERMINAL, terminal.0)?)),
            Self::Joined => Report::Joined,
            Self::Ready { steps, confirms } => Report::Ready { steps, confirms },
            Self::Done => Report::Done,
            Self::Failed(sentence) => Report::Failed(sentence),
        })
    }
}

impl<F> Passed<F> for Order<F> {
    type With<G> = Order<G>;

    fn pass<G>(self, to: &mut impl FnMut(&str, F) -> Result<G>) -> Result<Order<G>> {
        Ok(match self {
            Self::Take(trees) => {
                let trees = trees.into_iter().map(|tree| to("a file system of the box", tree));
                Order::Take(trees.collect::<Result<_>>()?)
            }
            Self::Enter => Order::Enter,
            Self::Go => Order::Go,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use container::channel::{Channel, memory_file};
    use container::namespaces::Namespaces;

    use super::*;

    /// A descriptor of a file that contains its own name.
    fn called(name: &str) -> std::fs::File {
        let mut file = memory_file("test").unwrap();
        file.write_all(name.as_bytes()).unwrap();
        file
    }

    fn read(fd: &OwnedFd) -> String {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
        let mut text = String::new();
        std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Sends `message` and returns every descriptor that was received, as (its name, its content).
    fn crossed<'a, M>(message: M) -> Vec<(String, String)>
    where
        M: Passed<BorrowedFd<'a>>,
        M::With<Slot>: Passed<Slot> + serde::Serialize + serde::de::DeserializeOwned,
        <M::With<Slot> as Passed<Slot>>::With<OwnedFd>: Passed<OwnedFd>,
    {
        let (one, other) = Channel::pair().unwrap();
        send(&one, message).unwrap();
        let (message, fds) = other.receive::<M::With<Slot>>().unwrap().unwrap();
        let mut all = Vec::new();
        let all_of = &mut |name: &str, fd: OwnedFd| {
            all.push((name.to_owned(), read(&fd)));
            Ok(())
        };
        let _ = received(message, fds).unwrap().pass(all_of).unwrap();
        all
    }

    fn check<'a, M>(message: M, expected: &[(&str, &str)])
    where
        M: Passed<BorrowedFd<'a>>,
        M::With<Slot>: Passed<Slot> + serde::Serialize + serde::de::DeserializeOwned,
        <M::With<Slot> as Passed<Slot>>::With<OwnedFd>: Passed<OwnedFd>,
    {
        let came = crossed(message);
        let came: Vec<_> = came.iter().map(|(name, held)| (name.as_str(), held.as_str())).collect();
        assert_eq!(came, expected);
    }

    #[test]
    fn each_descriptor_comes_where_it_belongs() {
        let names = ["line", "host", "n1", "n2", "file", "json", "in", "out", "err", "code", "bound", "oom"];
        let files = names.map(called);
        let [line, host, n1, n2, file, json, stdin, stdout, stderr, code, bound, oom] =
            files.each_ref().map(AsFd::as_fd);
        let request = NurseryRequest::Wasm(NewGuest {
            namespaces: Namespaces::default(),
            joined: vec![n1, n2],
            cgroup: Entrance::SelfMove(vec![file]),
            payload: PayloadFd(json),
            stdio: Stdio::from([stdin, stdout, stderr]),
            files: GuestFiles { code: CodeFd(code), bound: BoundFd(bound), oom_event: OomFd(oom) },
        });
        check(
            Birth { line: LineFd(line), host: Some(HostFd(host)), request },
            &[
                ("its line to the daemon", "line"),
                ("the host's mount namespace", "host"),
                ("a namespace to enter", "n1"),
                ("a namespace to enter", "n2"),
                ("a file of its cgroup", "file"),
                ("the container's description", "json"),
                ("standard input", "in"),
                ("standard output", "out"),
                ("standard error", "err"),
                ("the compiled code", "code"),
                ("the memory's bound", "bound"),
                ("the event for want of memory", "oom"),
            ],
        );
        let exec = ExecProgram {
            namespaces: Namespaces::default(),
            pid: 1,
            first: PidFd(line),
            cgroup: Entrance::CloneInto(file),
            workload: WorkloadFd(json),
            stdio: Stdio::from([stdin, stdout, stderr]),
        };
        check(
            NurseryRequest::ExecProgram(exec),
            &[
                ("the container's first process", "line"),
                ("its cgroup", "file"),
                ("the container's description", "json"),
                ("standard input", "in"),
                ("standard output", "out"),
                ("standard error", "err"),
            ],
        );
        check(Report::Created(1, Some(TerminalFd(code))), &[("the process's terminal", "code")]);
        check(Report::Created(1, None), &[]);
        check(Report::Delivered(1, PidFd(bound)), &[("the new process", "bound")]);
        check(
            Order::Take(vec![n2, n1]),
            &[("a file system of the box", "n2"), ("a file system of the box", "n1")],
        );
    }

    #[test]
    fn a_descriptor_that_is_missing_is_named() {
        let [one, two] = ["one", "two"].map(called);
        let stdio = Stdio::from([&one, &two, &two]);
        let (ours, theirs) = Channel::pair().unwrap();
        send(&ours, stdio.borrowed()).unwrap();
        let (stdio, mut fds) = theirs.receive::<Stdio<Slot>>().unwrap().unwrap();
        fds.pop();
        let missing = received(stdio, fds).unwrap_err().to_string();
        assert_eq!(missing, "a message came without standard error; are too many files open?");
    }
}
