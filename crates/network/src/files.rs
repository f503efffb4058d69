//! The container's `resolv.conf` and `hosts`: watched if there are no rules; with rules, read once, before the guest
//! could change them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;

use crate::dns::Servers;
use crate::hosts::Hosts;
use crate::resolv_conf::ResolvConf;
use crate::trusted;

/// Max number of bytes that are read of a file.
const MAX_BYTES: u64 = 1 << 20;

/// Where a [`crate::Lookup`] looks; the default is the same for every container.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The file with the name servers and their options.
    pub resolv_conf: PathBuf,
    /// The file with names and their addresses.
    pub hosts: PathBuf,
    /// The port of the name servers.
    pub port: u16,
    /// How long watched files are assumed to be unchanged.
    pub look_again: Duration,
    /// When read once, ignore a file unless it is a read-only mount: the image's own file, or one that a guest has
    /// put there, comes from those whom the rules are for.
    pub mounted: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
            look_again: Duration::from_secs(1),
            mounted: true,
        }
    }
}

/// Both files, parsed.
#[derive(Debug)]
pub enum NameFiles {
    /// Read at the first look-up, and again when they have changed.
    Watched(Sources, Mutex<WatchedFiles>),
    /// Read once.
    Kept(Arc<Hosts>, Arc<Servers>),
}

/// Watched files as they were last read.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    looked: Option<Instant>,
    hosts: Kept<Hosts>,
    servers: Kept<Servers>,
}

/// A file's contents, parsed, with the stamp of the file they came from.
#[derive(Debug)]
struct Kept<T>(Option<(FileStamp, Arc<T>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Detects a changed file: inode number, length and time of the last modification. `None` if there is no file.
type FileStamp = Option<(u64, u64, i64, i64)>;

impl NameFiles {
    /// Files to be read at look-ups.
    pub fn watched(sources: Sources) -> Self {
        Self::Watched(sources, Mutex::default())
    }

    /// Files as they are now. Unlike watched ones, they have no default: without a name server none is queried.
    pub fn kept(sources: &Sources) -> Self {
        let text = |path: &Path| {
            let file = if sources.mounted { trusted::open(path) } else { File::open(path) };
            let text = file.and_then(text);
            text.inspect_err(|error| warn_unreadable(path, error)).unwrap_or_default()
        };
        let conf = ResolvConf::parse(&text(&sources.resolv_conf));
        Self::Kept(Arc::new(Hosts::parse(&text(&sources.hosts))), Arc::new(Servers::new(conf, sources.port)))
    }

    /// The files as they are, or were a short while ago, or were when they were read once.
    pub fn now(&self) -> (Arc<Hosts>, Arc<Servers>) {
        let (sources, read) = match self {
            Self::Kept(hosts, servers) => return (hosts.clone(), servers.clone()),
            Self::Watched(sources, read) => (sources, read),
        };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = &mut *read;
        let fresh = read.looked.is_some_and(|at| at.elapsed() < sources.look_again);
        let hosts = read.hosts.now(&sources.hosts, fresh, Hosts::parse);
        let servers = read.servers.now(&sources.resolv_conf, fresh, |text| {
            Servers::new(ResolvConf::parse(text).or_this_machine(), sources.port)
        });
        if !fresh {
            read.looked = Some(Instant::now());
        }
        (hosts, servers)
    }
}

impl<T> Kept<T> {
    fn now(&mut self, path: &Path, fresh: bool, parse: impl Fn(&str) -> T) -> Arc<T> {
        if let Some((_, value)) = self.0.as_ref().filter(|_| fresh) {
            return value.clone();
        }
        let stamp = stamp(path);
        if let Some((_, value)) = self.0.as_ref().filter(|(kept, _)| *kept == stamp) {
            return value.clone();
        }
        let text = stamp.map_or_else(|| Ok(String::new()), |_| File::open(path).and_then(text));
        let text = text.inspect_err(|error| warn_unreadable(path, error)).unwrap_or_default();
        let value = Arc::new(parse(&text));
        self.0 = Some((stamp, value.clone()));
        value
    }
}

/// Only for a regular file: reading another could block.
fn stamp(path: &Path) -> FileStamp {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

fn text(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn warn_unreadable(path: &Path, error: &io::Error) {
    if error.kind() != ErrorKind::NotFound {
        warn!("cannot read {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(dir: &Path, look_again: Duration) -> Sources {
        let (resolv_conf, hosts) = (dir.join("resolv.conf"), dir.join("hosts"));
        Sources { resolv_conf, hosts, port: 53, look_again, mounted: false }
    }

    fn knows(files: &NameFiles, name: &str) -> bool {
        files.now().0.addresses(name).is_some()
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_and_not_more_often_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let watched = |look_again| NameFiles::watched(sources(dir.path(), look_again));
        let hosts = dir.path().join("hosts");
        let (eager, lazy) = (watched(Duration::ZERO), watched(Duration::MAX));
        assert!(!knows(&eager, "a"), "there is no file");
        fs::write(&hosts, "10.0.0.1 a\n").unwrap();
        assert!(knows(&eager, "a") && knows(&lazy, "a"));
        let before = eager.now();
        assert!(Arc::ptr_eq(&eager.now().0, &before.0), "nothing changed");
        fs::write(&hosts, "10.0.0.1 a\n10.0.0.2 bb\n").unwrap();
        assert!(knows(&eager, "bb") && !knows(&lazy, "bb"));
        assert!(Arc::ptr_eq(&eager.now().1, &before.1), "the other file did not change");
        fs::remove_file(&hosts).unwrap();
        assert!(!knows(&eager, "a") && knows(&lazy, "a"));
        fs::create_dir(&hosts).unwrap();
        assert!(!knows(&eager, "a"));
    }

    #[test]
    fn what_was_kept_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path(), Duration::ZERO);
        fs::write(&sources.hosts, "10.0.0.1 a\n").unwrap();
        let kept = NameFiles::kept(&sources);
        fs::write(&sources.hosts, "10.0.0.1 a\n10.0.0.2 bb\n").unwrap();
        fs::write(&sources.resolv_conf, "nameserver 10.0.0.9\n").unwrap();
        assert!(knows(&kept, "a") && !knows(&kept, "bb"));
        assert!(kept.now().1.are_none(), "no server was named when it was read");
        let mounted = NameFiles::kept(&Sources { mounted: true, ..sources });
        assert!(!knows(&mounted, "a") && mounted.now().1.are_none(), "what is not a mount is ignored");
    }
}
