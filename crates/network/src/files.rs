//! The container's `resolv.conf` and `hosts`, read when they are first needed, and again when they changed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;

use crate::dns::Servers;
use crate::hosts::Hosts;
use crate::resolv_conf::ResolvConf;

/// How much of a file is read.
const MOST_BYTES: u64 = 1 << 20;

/// Where a [`crate::Lookup`] looks; the default is where every container has it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The name servers and how to ask them.
    pub resolv_conf: PathBuf,
    /// Names with their addresses.
    pub hosts: PathBuf,
    /// The port of the name servers.
    pub port: u16,
    /// How long the files are taken to be as they were.
    pub look_again: Duration,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
            look_again: Duration::from_secs(1),
        }
    }
}

/// Both files.
#[derive(Debug)]
pub struct Files {
    sources: Sources,
    read: Mutex<Said>,
}

/// What they said when they were last looked at.
#[derive(Debug, Default)]
struct Said {
    looked: Option<Instant>,
    hosts: Kept<Hosts>,
    servers: Kept<Servers>,
}

/// What a file of this look said.
#[derive(Debug)]
struct Kept<T>(Option<(Look, Arc<T>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What tells a file from what it was: number, length and time of its last change. `None`: it is not there.
type Look = Option<(u64, u64, i64, i64)>;

impl Files {
    pub fn new(sources: Sources) -> Self {
        Self { sources, read: Mutex::default() }
    }

    /// What the files say now, or said a short while ago.
    pub fn now(&self) -> (Arc<Hosts>, Arc<Servers>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = &mut *read;
        let fresh = read.looked.is_some_and(|at| at.elapsed() < self.sources.look_again);
        let port = self.sources.port;
        let hosts = read.hosts.now(&self.sources.hosts, fresh, Hosts::parse);
        let servers = read
            .servers
            .now(&self.sources.resolv_conf, fresh, |text| Servers::new(ResolvConf::parse(text), port));
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
        let look = look(path);
        if let Some((_, value)) = self.0.as_ref().filter(|(kept, _)| *kept == look) {
            return value.clone();
        }
        let text = look.map_or_else(|| Ok(String::new()), |_| text(path));
        let text = text.unwrap_or_else(|error| {
            warn!("cannot read {}: {error}", path.display());
            String::new()
        });
        let value = Arc::new(parse(&text));
        self.0 = Some((look, value.clone()));
        value
    }
}

/// Only a regular file is read: another could keep the reader waiting.
fn look(path: &Path) -> Look {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changed_and_not_more_often_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        let sources = |look_again| Sources {
            resolv_conf: folder.path().join("resolv.conf"),
            hosts: folder.path().join("hosts"),
            port: 53,
            look_again,
        };
        let hosts = folder.path().join("hosts");
        let (eager, lazy) = (Files::new(sources(Duration::ZERO)), Files::new(sources(Duration::MAX)));
        let knows = |files: &Files, name: &str| files.now().0.addresses(name).is_some();
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
}
