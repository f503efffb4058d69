//! What a case is, and how it is checked.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use container::cgroup::{Cgroup, CgroupDirs};
use container::rootfs;
use container::title::Layout;
use nix::mount::{MsFlags, mount};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use workload::Workload;

use crate::apart::apart;
use crate::look::Seen;
use crate::{birth, bundle, look};

/// How long the kernel may take to end a process.
const SOON: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// A spec, and the expected result.
pub struct Case {
    /// For reports and filters.
    pub name: &'static str,
    /// The changes to [`bundle::SPEC`], as a JSON merge patch.
    pub spec: &'static str,
    /// The expected result.
    pub expected: Expected,
}

/// The expected result of a spec.
pub enum Expected {
    /// A box: pairs of a query to the kernel (see [`look`]) and its result.
    Box(&'static [(&'static str, &'static str)]),
    /// The same for one more process in the box; `pod's` is the first one's.
    Exec(&'static [(&'static str, &'static str)]),
    /// A box that ends with its daemon.
    End,
    /// No box, and an error with these words.
    Refusal(&'static str),
    /// A compiler's box: pairs as for [`Expected::Box`].
    Compiler(&'static [(&'static str, &'static str)]),
}

/// A case with a box.
pub const fn shows(
    name: &'static str,
    spec: &'static str,
    seen: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, spec, expected: Expected::Box(seen) }
}

/// A case without a box.
pub const fn refused(name: &'static str, spec: &'static str, words: &'static str) -> Case {
    Case { name, spec, expected: Expected::Refusal(words) }
}

/// Checks a case in a process, a mount namespace and a cgroup of its own, and that nothing of it is left.
///
/// # Errors
/// The unexpected results, line by line, or what is left.
pub fn check(case: &Case) -> Result<()> {
    let dir = tempfile::tempdir().context("cannot make a directory")?;
    let layout = Layout::look()?;
    // Named first, in this process.
    let cgroup = CgroupDirs::at(Path::new(&bundle::cgroup()))?;
    let done = apart(|| in_own_process(case, dir.path(), layout));
    // However the process ended.
    let removed = Cgroup::of(&workload("{}", dir.path(), 0)?)?.remove();
    done.and(removed)?;
    ensure!(!cgroup.exists(), "its cgroup is left");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(&*dir.path().to_string_lossy()), "mounts are left: {mounts}");
    dir.close().context("its directory is not empty for root to remove")
}

fn in_own_process(case: &Case, dir: &Path, layout: Option<Layout>) -> Result<()> {
    bundle::hide_mounts(dir)?;
    let pod = if case.spec.contains(bundle::POD) { birth::pod()?.pid } else { 0 };
    let workload = workload(case.spec, dir, pod)?;
    bundle::make(&workload)?;
    let seen = |pid, line| Seen { pid, pod, line, cgroup: bundle::cgroup(), bundle: dir };
    match case.expected {
        Expected::Box(expected) => {
            let (born, line) = birth::guest(&workload, layout)?;
            compare(&seen(born.pid, &line), expected)?;
        }
        Expected::Exec(expected) => {
            let (first, _gate) = birth::guest(&workload, layout)?;
            let (born, line) = birth::exec(&workload, &first, layout)?;
            compare(&Seen { pod: first.pid, ..seen(born.pid, &line) }, expected)?;
        }
        Expected::Compiler(expected) => {
            let (born, line) = birth::compiler(dir)?;
            compare(&seen(born.pid, &line), expected)?;
        }
        Expected::End => {
            let orphan = birth::orphan(&workload, layout)?;
            let ended = poll(&mut [PollFd::new(&orphan, PollFlags::IN)], Some(&SOON))?;
            ensure!(ended == 1, "it outlives its daemon");
        }
        Expected::Refusal(words) => match birth::guest(&workload, layout) {
            Ok(_) => bail!("a box was built; refused was to be: {words}"),
            Err(error) => ensure!(format!("{error:#}").contains(words), "refused, but so: {error:#}"),
        },
    }
    // As at Delete: all mounts at the root's path go, while guests, which have copies, may live on.
    mount(Some("tmpfs"), &workload.rootfs(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    rootfs::unmount_all(&workload.rootfs())?;
    ensure!(std::fs::read_dir(workload.rootfs())?.next().is_none(), "the root file system is still mounted");
    Ok(())
}

fn compare(seen: &Seen<'_>, expected: &[(&str, &str)]) -> Result<()> {
    let mut wrong = Vec::new();
    for (query, expected) in expected {
        match look::at(seen, query).with_context(|| format!("cannot see {query:?}"))? {
            None => {}
            Some(shown) if shown == *expected => {}
            Some(shown) => wrong.push(format!("{query}: {shown:?}, expected {expected:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn workload(changes: &str, dir: &Path, pod: i32) -> Result<Workload> {
    let mut spec: Value = serde_json::from_str(bundle::SPEC)?;
    merge(&mut spec, serde_json::from_str(changes).context("the case's spec is no JSON")?);
    let text = spec.to_string();
    let text =
        text.replace(bundle::CGROUP, &bundle::cgroup()).replace(bundle::POD, &format!("/proc/{pod}/ns"));
    let text = text.replace(bundle::BUNDLE, &dir.display().to_string());
    Ok(Workload::read("box", dir, text.as_bytes(), workload::Options::default())?)
}

/// RFC 7396.
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Some(into) = into.as_object_mut() else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(into.remove(&key)),
            value => merge(into.entry(key).or_insert(Value::Null), value),
        }
    }
}
