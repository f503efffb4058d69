//! Queries the kernel for what it shows of a box from outside. The result of a query is one line of text.
//!
//! | query | result |
//! |---|---|
//! | `status NAME`, `limit NAME`, `file NAME` | the field of `/proc/PID/status`; soft and hard; `/proc/PID/NAME` |
//! | `title`, `environment` | its arguments and variables, as in process listings |
//! | `mounts` | the mount points |
//! | `options PATH`, `kind PATH`, `propagation PATH` | flags less atime; file system; `shared`, `slave`, `private` |
//! | `list PATH`, `node PATH` | the names in a directory; a device's kind, numbers and mode |
//! | `namespace KIND` | `host's`, `pod's` or `own` |
//! | `cgroup` | the cgroups of the process other than its own: expected to be empty |
//! | `cgroup-file CONTROLLER V1 V2` | that file of the cgroup, by the host's version; `-` is none |
//! | `owner` | the owner of its files in /proc: root if it is not dumpable |
//! | `descriptors` | their targets, in order |
//! | `hostname`, `sysctl NAME`, `loopback` | as in its namespaces |
//! | `bundle FILE` | a file of the bundle |
//! | `try WHAT` | the result of an attempt in the box, see [`crate::guest`] |

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use container::cgroup::CgroupDirs;
use container::channel::Channel;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{major, minor};

use crate::birth::{Order, Report};

/// A box, and what it is compared with.
pub struct Seen<'a> {
    /// The process in it.
    pub pid: i32,
    /// The pod's first process, if there is one.
    pub pod: i32,
    /// The channel to the process.
    pub line: &'a Channel,
    /// The name of its cgroup.
    pub cgroup: String,
    pub bundle: &'a Path,
}

/// The result of a query; `None` where this host has nothing of the kind.
///
/// # Errors
/// When there is no such query, or nothing where the kernel should show it.
pub fn at(seen: &Seen<'_>, query: &str) -> Result<Option<String>> {
    let (what, of) = query.split_once(' ').unwrap_or((query, ""));
    Ok(Some(match what {
        "status" => field(&seen.proc("status")?, of)?,
        "limit" => limit(&seen.proc("limits")?, of)?,
        "file" => in_one_line(&seen.proc(of)?),
        "title" => seen.proc("cmdline")?.trim_end_matches('\0').replace('\0', " "),
        "environment" => seen.proc("environ")?.trim_end_matches('\0').replace('\0', " "),
        "mounts" => places(seen)?,
        "options" => mount(seen, of)?.options,
        "kind" => mount(seen, of)?.kind,
        "propagation" => mount(seen, of)?.propagation,
        "list" => list(&seen.inside(of))?,
        "node" => node(&seen.inside(of))?,
        "namespace" => namespace(seen, of)?.into(),
        "cgroup" => not_in(seen)?,
        "cgroup-file" => return cgroup_file(seen, of),
        "owner" => fs::metadata(format!("/proc/{}/mem", seen.pid))?.uid().to_string(),
        "descriptors" => descriptors(seen.pid)?,
        "hostname" => within(seen, "uts", || Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned()))?,
        "sysctl" => within(seen, "net", || {
            Ok(fs::read_to_string(Path::new("/proc/sys").join(of.replace('.', "/")))?.trim().into())
        })?,
        "loopback" => (if seen.proc("net/fib_trie")?.contains("127.0.0.1") { "up" } else { "down" }).into(),
        "bundle" => in_one_line(&fs::read_to_string(seen.bundle.join(of))?),
        "try" => attempt(seen, of)?,
        other => bail!("there is no query {other:?}"),
    }))
}

impl Seen<'_> {
    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// A path in the box; absolute links resolve outside of it.
    fn inside(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.pid).into()
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn field(status: &str, name: &str) -> Result<String> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(in_one_line(value.with_context(|| format!("no field {name}"))?))
}

fn limit(limits: &str, name: &str) -> Result<String> {
    let line =
        limits.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// A line of mountinfo.
struct Mounted {
    place: String,
    options: String,
    kind: String,
    propagation: String,
}

fn mounts(seen: &Seen<'_>) -> Result<Vec<Mounted>> {
    let parse = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let (place, options) = (fields.next()?.to_owned(), fields.next()?);
        let options: Vec<_> = options.split(',').filter(|option| !option.ends_with("atime")).collect();
        let propagation: Vec<_> = fields.filter_map(|field| field.split(':').next()).collect();
        let propagation = propagation.join(" ").replace("master", "slave");
        let propagation = if propagation.is_empty() { "private".into() } else { propagation };
        let kind = file_system.split(' ').next()?.to_owned();
        Some(Mounted { place, options: options.join(","), kind, propagation })
    };
    let table = seen.proc("mountinfo")?;
    table.lines().map(|line| parse(line).with_context(|| format!("mountinfo says {line:?}"))).collect()
}

/// Sorted, since the order of the table is the kernel's business.
fn places(seen: &Seen<'_>) -> Result<String> {
    let mut places: Vec<_> = mounts(seen)?.into_iter().map(|mount| mount.place).collect();
    places.sort();
    Ok(places.join(" "))
}

/// The topmost mount at a path.
fn mount(seen: &Seen<'_>, path: &str) -> Result<Mounted> {
    let at = mounts(seen)?.into_iter().rfind(|mount| mount.place == path);
    at.with_context(|| format!("nothing is mounted at {path}"))
}

fn list(dir: &Path) -> Result<String> {
    let names = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names.join(" "))
}

fn node(path: &Path) -> Result<String> {
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok("absent".into()),
        found => found?,
    };
    let kind = match found.file_type() {
        kind if kind.is_char_device() => "character",
        kind if kind.is_block_device() => "block",
        _ => "no",
    };
    let (number, rights) = (found.rdev(), found.permissions().mode() & 0o7777);
    Ok(format!("{kind} {}:{} {rights:o}", major(number), minor(number)))
}

fn namespace(seen: &Seen<'_>, kind: &str) -> Result<&'static str> {
    let of = |process: &str| {
        let path = format!("/proc/{process}/ns/{kind}");
        fs::read_link(&path).with_context(|| format!("cannot read {path}"))
    };
    let its = of(&seen.pid.to_string())?;
    if its == of("self")? {
        return Ok("host's");
    }
    Ok(if seen.pod != 0 && its == of(&seen.pod.to_string())? { "pod's" } else { "own" })
}

/// The lines of `/proc/PID/cgroup` that name another cgroup. With v1 the v2 hierarchy does not count, which holds no
/// containers; with v2 only that counts.
fn not_in(seen: &Seen<'_>) -> Result<String> {
    let unified = CgroupDirs::at(Path::new(&seen.cgroup))?.unified().is_some();
    let member = seen.proc("cgroup")?;
    let counts = member.lines().filter(|line| line.starts_with("0::") == unified);
    let others = counts.filter(|line| line.splitn(3, ':').last() != Some(&seen.cgroup));
    Ok(others.collect::<Vec<_>>().join(" "))
}

fn cgroup_file(seen: &Seen<'_>, of: &str) -> Result<Option<String>> {
    let [controller, v1, v2] = of.split(' ').collect::<Vec<_>>()[..] else {
        bail!("which file? controller, v1's and v2's");
    };
    let dirs = CgroupDirs::at(Path::new(&seen.cgroup))?;
    let file = if dirs.unified().is_some() { v2 } else { v1 };
    if file == "-" {
        return Ok(None);
    }
    let text = dirs.text(controller, file).with_context(|| format!("the cgroup has no {file}"))?;
    Ok(Some(in_one_line(&text)))
}

fn descriptors(pid: i32) -> Result<String> {
    let dir = PathBuf::from(format!("/proc/{pid}/fd"));
    let names = list(&dir)?;
    let mut numbers = names.split(' ').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>()?;
    numbers.sort_unstable();
    let what = |number: u32| {
        let leads = fs::read_link(dir.join(number.to_string()))?;
        let leads = leads.to_string_lossy();
        anyhow::Ok(leads.split(":[").next().unwrap_or_default().to_owned())
    };
    Ok(numbers.into_iter().map(what).collect::<Result<Vec<_>>>()?.join(" "))
}

/// Runs `look` in the process's namespace of a kind, then returns to this process's own.
fn within<T>(seen: &Seen<'_>, kind: &str, look: impl FnOnce() -> Result<T>) -> Result<T> {
    let open = |process: &str| File::open(format!("/proc/{process}/ns/{kind}"));
    let (own, its) = (open("self")?, open(&seen.pid.to_string())?);
    setns(its.as_fd(), CloneFlags::empty()).with_context(|| format!("cannot enter its {kind} namespace"))?;
    let seen = look();
    setns(own.as_fd(), CloneFlags::empty()).with_context(|| format!("cannot leave its {kind} namespace"))?;
    seen
}

fn attempt(seen: &Seen<'_>, what: &str) -> Result<String> {
    seen.line.send(&Order::Try(what.to_owned()), &[])?;
    match seen.line.receive()?.map(|(report, _)| report) {
        Some(Report::Tried(tried)) => Ok(tried),
        other => bail!("the process in the box answers {other:?}"),
    }
}
