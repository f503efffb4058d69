//! The container's `resolv.conf` and `hosts`: watched, where nobody minds where a name leads; where there are
//! rules, read once, before the guest could have a say in them.

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
    /// How long the files are taken to be as they were, where they are watched.
    pub look_again: Duration,
    /// Where they are read once, they count only if they are mounts that nobody in the container can write to:
    /// an image's own, or one that a guest has put there, is the word of whom the rules are for.
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

/// Both files.
#[derive(Debug)]
pub enum Files {
    /// Read when they are first needed, and again when they changed.
    Watched(Sources, Mutex<Said>),
    /// As they were.
    Kept(Arc<Hosts>, Arc<Servers>),
}

/// What they said when they were last looked at.
#[derive(Debug, Default)]
pub struct Said {
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
    /// To be looked at when a name is asked for.
    pub fn watched(sources: Sources) -> Self {
        Self::Watched(sources, Mutex::default())
    }

    /// As they are now, and nobody's word but theirs: without a name server none is asked.
    pub fn kept(sources: &Sources) -> Self {
        let text = |path: &Path| {
            let file = if sources.mounted { trusted::open(path) } else { File::open(path) };
            let text = file.and_then(text);
            text.inspect_err(|error| told(path, error)).unwrap_or_default()
        };
        let conf = ResolvConf::parse(&text(&sources.resolv_conf));
        Self::Kept(Arc::new(Hosts::parse(&text(&sources.hosts))), Arc::new(Servers::new(conf, sources.port)))
    }

    /// What the files say now, or said a short while ago, or once and for all.
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
        let look = look(path);
        if let Some((_, value)) = self.0.as_ref().filter(|(kept, _)| *kept == look) {
            return value.clone();
        }
        let text = look.map_or_else(|| Ok(String::new()), |_| File::open(path).and_then(text));
        let text = text.inspect_err(|error| told(path, error)).unwrap_or_default();
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

fn text(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn told(path: &Path, error: &io::Error) {
    if error.kind() != ErrorKind::NotFound {
        warn!("cannot read {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(folder: &Path, look_again: Duration) -> Sources {
        let (resolv_conf, hosts) = (folder.join("resolv.conf"), folder.join("hosts"));
        Sources { resolv_conf, hosts, port: 53, look_again, mounted: false }
    }

    fn knows(files: &Files, name: &str) -> bool {
        files.now().0.addresses(name).is_some()
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_and_not_more_often_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        let watched = |look_again| Files::watched(sources(folder.path(), look_again));
        let hosts = folder.path().join("hosts");
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
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), Duration::ZERO);
        fs::write(&sources.hosts, "10.0.0.1 a\n").unwrap();
        let kept = Files::kept(&sources);
        fs::write(&sources.hosts, "10.0.0.1 a\n10.0.0.2 bb\n").unwrap();
        fs::write(&sources.resolv_conf, "nameserver 10.0.0.9\n").unwrap();
        assert!(knows(&kept, "a") && !knows(&kept, "bb"));
        assert!(kept.now().1.are_none(), "nobody was named when it was read");
        let mounted = Files::kept(&Sources { mounted: true, ..sources });
        assert!(!knows(&mounted, "a") && mounted.now().1.are_none(), "what is no mount is nobody's word");
    }
}
