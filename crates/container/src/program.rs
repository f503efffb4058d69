//! Executes a Linux program as runc does: with exactly the spec's environment, found in the container's own PATH,
//! with permissions left to the kernel.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::{AccessFlags, access, dup2, execve};
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};
use workload::DEFAULT_PATH;

use crate::ending;

/// Replaces libcontainer's own executor, which refuses images without `PATH` and programs that only
/// their owner may execute.
#[derive(Clone, Copy)]
pub(crate) struct Program;

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let prepared = prepared(spec).map_err(ExecutorError::Other)?;
        write_to_null().map_err(|error| ExecutorError::Other(format!("cannot open /dev/null: {error}")))?;
        let failed = prepared.execute();
        // Start has returned already: like runc's, the reason goes to the container's log.
        let _ = std::io::stderr().write_all(format!("{failed}\n").as_bytes());
        Err(ExecutorError::Other(failed))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        prepared(spec).map(drop).map_err(ExecutorValidationError::ArgValidationError)
    }

    /// Does nothing: the environment goes to `execve` as it is, in the spec's order.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// A resolved program, with its arguments and environment.
#[derive(Debug)]
pub struct Prepared {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Prepared {
    /// Executes the program. Returns only on failure, with the reason.
    pub fn execute(&self) -> String {
        let refused = |error| refused(&self.path.to_string_lossy(), error);
        if let Err(error) = ending::default_sigpipe() {
            return refused(error);
        }
        match execve(&self.path, &self.args, &self.env) {
            Ok(never) => match never {},
            Err(error) => refused(error),
        }
    }
}

/// Gives descriptors the numbers from `first` on, in order, without close-on-exec.
///
/// # Errors
/// When the process may open no more files.
pub fn take_numbers<const N: usize>(first: RawFd, fds: [OwnedFd; N]) -> nix::Result<()> {
    // Moved above the range first: one of them may have the number of another.
    let above = first + RawFd::try_from(N).unwrap_or(0);
    let moved = fds.map(|fd| fcntl(fd.as_raw_fd(), FcntlArg::F_DUPFD_CLOEXEC(above)));
    for (number, fd) in (first..).zip(moved) {
        dup2(fd?, number)?;
    }
    Ok(())
}

/// Reopens the container's /dev/null for writing where it is stdout or stderr: libcontainer opens it read-only.
fn write_to_null() -> rustix::io::Result<()> {
    let null = rustix::fs::makedev(1, 3);
    let is_null = |output| Ok::<_, rustix::io::Errno>(rustix::fs::fstat(output)?.st_rdev == null);
    let open = || rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    if is_null(stdout())? {
        dup2_stdout(open()?)?;
    }
    if is_null(stderr())? {
        dup2_stderr(open()?)?;
    }
    Ok(())
}

/// runc's wording.
fn refused(name: &str, error: Errno) -> String {
    format!("exec {name:?}: {}", error.desc().to_lowercase())
}

fn prepared(spec: &Spec) -> Result<Prepared, String> {
    let process = spec.process().as_ref().ok_or("the spec has no process")?;
    find(process, process.env().clone().unwrap_or_default())
}

/// Resolves the program of a process, from inside the container, with the environment `env`.
pub(crate) fn find(process: &Process, env: Vec<String>) -> Result<Prepared, String> {
    let path = find_file(process, &env)?;
    let args = process.args().clone().unwrap_or_default();
    Ok(Prepared {
        path: string(path.into_os_string().into_encoded_bytes())?,
        args: strings(args)?,
        env: strings(env)?,
    })
}

fn find_file(process: &Process, env: &[String]) -> Result<PathBuf, String> {
    let name = process.args().as_ref().and_then(|args| args.first()).ok_or("the spec has no arguments")?;
    if name.contains('/') {
        let path = process.cwd().join(name);
        return check(&path).map(|()| path).map_err(|error| refused(name, error));
    }
    let search = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut denied = None;
    for dir in search.split(':') {
        let path = process.cwd().join(dir).join(name);
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(Errno::EACCES) => denied = Some(Errno::EACCES),
            Err(_) => {}
        }
    }
    Err(match denied {
        Some(error) => refused(name, error),
        None => format!("exec {name:?}: executable file not found in $PATH"),
    })
}

fn check(path: &Path) -> Result<(), Errno> {
    if path.is_dir() {
        return Err(Errno::EISDIR);
    }
    access(path, AccessFlags::X_OK)
}

fn strings(list: Vec<String>) -> Result<Vec<CString>, String> {
    list.into_iter().map(|text| string(text.into_bytes())).collect()
}

fn string(bytes: Vec<u8>) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a path, an argument or a variable holds a zero byte".to_owned())
}
