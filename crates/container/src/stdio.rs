//! Standard input, output and error: the paths containerd names, straight into the container.
//!
//! Nothing copies. The daemon only holds the fifos open, as runc's shim does, so that a restart of
//! containerd breaks no pipe; it lets go when the process has ended, and the readers see the end.
//! Standard input ends when a CloseIO has come and the clients have closed it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{CWD, Mode, OFlags, Uid};

/// What containerd asked for, each a path, a URI or empty for nothing.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Where standard input comes from.
    pub stdin: String,
    /// Where standard output goes.
    pub stdout: String,
    /// Where standard error goes.
    pub stderr: String,
}

/// The opened descriptors of one process.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input, output and error of the process itself.
    pub process: [OwnedFd; 3],
    /// What the daemon keeps until the process has ended.
    pub hold: Hold,
}

/// Fifos held open at both ends, so that neither side sees the other leave.
#[derive(Debug, Default)]
pub struct Hold {
    stdin: Option<OwnedFd>,
    /// Never used: dropping them is what ends the readers' wait.
    outputs: Vec<OwnedFd>,
}

impl Hold {
    /// Lets go of standard input: once the client has too, the process reads end of file.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }
}

/// Opens all three for a process of user `uid`, who may open them again by `/dev/stdout`.
///
/// # Errors
/// Names the path that is missing, or a scheme that is not known.
pub fn open(paths: &Paths, uid: u32) -> anyhow::Result<Stdio> {
    let mut hold = Hold::default();
    let (stdin, held) = open_one(&paths.stdin, OFlags::RDONLY, uid).context("cannot open standard input")?;
    hold.stdin = held;
    let (stdout, held) =
        open_one(&paths.stdout, OFlags::WRONLY, uid).context("cannot open standard output")?;
    hold.outputs.extend(held);
    let (stderr, held) =
        open_one(&paths.stderr, OFlags::WRONLY, uid).context("cannot open standard error")?;
    hold.outputs.extend(held);
    Ok(Stdio { process: [stdin, stdout, stderr], hold })
}

/// The descriptor for the process and, for a fifo, one for the daemon.
fn open_one(uri: &str, direction: OFlags, uid: u32) -> anyhow::Result<(OwnedFd, Option<OwnedFd>)> {
    if uri.is_empty() {
        return Ok((open_path(Path::new("/dev/null"), direction).context("/dev/null")?, None));
    }
    let path = match uri.split_once("://") {
        None => PathBuf::from(uri),
        Some(("fifo", path)) => PathBuf::from(path),
        Some(("file", path)) => return Ok((create_log(path).with_context(|| path.to_owned())?, None)),
        Some((scheme, _)) => {
            bail!("{uri}: this shim writes to paths, fifo:// and file://, not to {scheme}://")
        }
    };
    let kind = path.metadata().with_context(|| path.display().to_string())?.file_type();
    if !kind.is_fifo() {
        return Ok((open_path(&path, direction).with_context(|| path.display().to_string())?, None));
    }
    // Both directions first: with a reader and a writer there, opening one end does not wait.
    let hold = open_path(&path, OFlags::RDWR).with_context(|| path.display().to_string())?;
    let end = open_path(&path, direction).with_context(|| path.display().to_string())?;
    if uid != 0 {
        rustix::fs::fchown(&end, Some(Uid::from_raw(uid)), None)
            .with_context(|| path.display().to_string())?;
    }
    Ok((end, Some(hold)))
}

fn open_path(path: &Path, direction: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, direction | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
}

fn create_log(path: &str) -> io::Result<OwnedFd> {
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).append(true).open(path)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_reader_sees_the_end_when_process_and_daemon_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdout: path.display().to_string(), ..Paths::default() };
        let Stdio { process: [_, stdout, _], hold, .. } = open(&paths, 0).unwrap();
        let mut reader = File::open(&path).unwrap();
        File::from(stdout).write_all(b"hello").unwrap();
        drop(hold);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn input_ends_when_client_and_daemon_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let paths = Paths { stdin: path.display().to_string(), ..Paths::default() };
        let Stdio { process: [stdin, ..], mut hold } = open(&paths, 0).unwrap();
        File::options().write(true).open(&path).unwrap().write_all(b"line").unwrap();
        hold.close_stdin();
        let mut text = String::new();
        File::from(stdin).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
    }

    #[test]
    fn a_missing_path_is_an_error_that_names_it() {
        let paths = Paths { stderr: "/nowhere/at/all".into(), ..Paths::default() };
        let error = format!("{:#}", open(&paths, 0).unwrap_err());
        assert!(error.contains("standard error: /nowhere/at/all"), "{error}");
        let paths = Paths { stdout: "binary:///logger".into(), ..Paths::default() };
        assert!(format!("{:#}", open(&paths, 0).unwrap_err()).contains("binary://"));
    }
}
