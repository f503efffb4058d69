//! Executing a Linux program as runc does: its environment exactly the spec's, its file found by the
//! container's own PATH, permissions judged by the kernel.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::Write;
use std::path::{Path, PathBuf};

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::{Process, Spec};
use workload::DEFAULT_PATH;

use crate::ending;

/// Replaces libcontainer's own executor, which refuses images without `PATH` and programs that only
/// their owner may execute.
#[derive(Clone, Copy)]
pub(crate) struct Program;

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let (path, process) = find(spec).map_err(ExecutorError::Other)?;
        let path = CString::new(path.into_os_string().into_encoded_bytes())
            .map_err(|_| ExecutorError::InvalidArg)?;
        let args = strings(process.args().as_deref().unwrap_or_default())?;
        let env = strings(process.env().as_deref().unwrap_or_default())?;
        ending::default_sigpipe().map_err(|error| ExecutorError::Other(error.to_string()))?;
        match execve(&path, &args, &env) {
            Ok(never) => match never {},
            Err(error) => {
                // Start has been answered by now: like runc's, the reason goes where the logs go.
                let sentence = format!("exec {path:?}: {}", error.desc().to_lowercase());
                let _ = std::io::stderr().write_all(format!("{sentence}\n").as_bytes());
                Err(ExecutorError::Other(sentence))
            }
        }
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        find(spec).map(drop).map_err(ExecutorValidationError::ArgValidationError)
    }

    /// Nothing: the environment goes to `execve` as it is, in the spec's order.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// The program's file, seen from inside the container.
fn find(spec: &Spec) -> Result<(PathBuf, &Process), String> {
    let process = spec.process().as_ref().ok_or("the spec has no process")?;
    let name = process.args().as_ref().and_then(|args| args.first()).ok_or("the spec has no arguments")?;
    if name.contains('/') {
        let path = process.cwd().join(name);
        return check(&path)
            .map(|()| (path, process))
            .map_err(|error| format!("exec {name:?}: {}", error.desc()));
    }
    let env = process.env().as_deref().unwrap_or_default();
    let search = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for folder in search.split(':') {
        let path = process.cwd().join(folder).join(name);
        match check(&path) {
            Ok(()) => return Ok((path, process)),
            Err(Errno::EACCES) => refused = Some(Errno::EACCES),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(error) => format!("exec {name:?}: {}", error.desc()),
        None => format!("exec {name:?}: executable file not found in $PATH"),
    })
}

fn check(path: &Path) -> Result<(), Errno> {
    if path.is_dir() {
        return Err(Errno::EISDIR);
    }
    access(path, AccessFlags::X_OK)
}

fn strings(list: &[String]) -> Result<Vec<CString>, ExecutorError> {
    list.iter().map(|text| CString::new(text.as_bytes()).map_err(|_| ExecutorError::InvalidArg)).collect()
}
