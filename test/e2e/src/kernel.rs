//! The state of a process as the kernel shows it in /proc/PID.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One line of a process's mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted, as the process sees it.
    pub point: PathBuf,
    /// The kind of file system.
    pub kind: String,
}

/// The value of `key` in the status of `pid`, with single spaces.
///
/// # Errors
/// When the process is gone or has no such key.
pub fn status(pid: i32, key: &str) -> Result<String> {
    let status = read(pid, "status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.map(words).with_context(|| format!("/proc/{pid}/status has no {key}"))
}

/// The soft and the hard limit of `pid`; `what` is the kernel's name, such as `Max open files`.
///
/// # Errors
/// When the process is gone or has no such limit.
pub fn limit(pid: i32, what: &str) -> Result<String> {
    let limits = read(pid, "limits")?;
    let row = limits.lines().find_map(|line| line.strip_prefix(what)).map(words);
    let row = row.with_context(|| format!("/proc/{pid}/limits has no {what}"))?;
    Ok(row.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

/// How many threads `pid` has.
///
/// # Errors
/// When the process is gone.
pub fn threads(pid: i32) -> Result<usize> {
    Ok(fs::read_dir(at(pid, "task")).with_context(|| format!("process {pid}"))?.count())
}

/// The processor time `pid` has used, in clock ticks.
///
/// # Errors
/// When the process is gone.
pub fn cpu_time(pid: i32) -> Result<u64> {
    let stat = read(pid, "stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |number: usize| -> Result<u64> { Ok(fields.get(number).context("a short stat")?.parse()?) };
    Ok(field(11)? + field(12)?)
}

/// Whether the descriptor `number` of `pid` is open for writing.
///
/// # Errors
/// When the process is gone or has no such descriptor.
pub fn writable(pid: i32, number: i32) -> Result<bool> {
    const ACCESS: u32 = 0o3;
    let info = read(pid, &format!("fdinfo/{number}"))?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).context("no flags")?;
    Ok(u32::from_str_radix(flags.trim(), 8)? & ACCESS != 0)
}

/// The target of a link of `pid`: `exe`, `ns/net`.
///
/// # Errors
/// When the process is gone or has no such link.
pub fn link(pid: i32, name: &str) -> Result<PathBuf> {
    let path = at(pid, name);
    fs::read_link(&path).with_context(|| path.display().to_string())
}

/// Every open descriptor of `pid` above standard error, with the target of its link.
///
/// # Errors
/// When the process is gone.
pub fn descriptors(pid: i32) -> Result<Vec<(i32, PathBuf)>> {
    let listed = fs::read_dir(at(pid, "fd")).with_context(|| format!("process {pid}"))?;
    let mut numbers: Vec<i32> =
        listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.retain(|number| *number > 2);
    numbers.sort_unstable();
    numbers.into_iter().map(|number| Ok((number, link(pid, &format!("fd/{number}"))?))).collect()
}

/// The mount table of `pid`.
///
/// # Errors
/// When the process is gone.
pub fn mounts(pid: i32) -> Result<Vec<Mount>> {
    Ok(read(pid, "mountinfo")?.lines().filter_map(mount).collect())
}

/// The options of the mount at `path`, as `pid` sees it: `ro`, `nosuid`, ….
///
/// # Errors
/// When the process is gone or has no such mount.
pub fn mount_options(pid: i32, path: &Path) -> Result<Vec<String>> {
    let table = read(pid, "mountinfo")?;
    let mut rows = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // The last one hides the others.
    let row = rows.rfind(|row| row.get(4).is_some_and(|point| Path::new(point) == path));
    let options = row.as_ref().and_then(|row| row.get(5));
    let options = options.with_context(|| format!("process {pid} has no mount at {}", path.display()))?;
    Ok(options.split(',').map(Into::into).collect())
}

/// The directory of the cgroup of `pid` in the hierarchy of `controller`; the empty word is cgroup v2.
///
/// # Errors
/// When the process is gone or in no such hierarchy.
pub fn cgroup(pid: i32, controller: &str) -> Result<PathBuf> {
    let groups = read(pid, "cgroup")?;
    let path = groups.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(":/")?;
        names.split(',').any(|name| name == controller).then_some(path)
    });
    let path = path.with_context(|| format!("process {pid} is in no cgroup of {controller:?}"))?;
    Ok(Path::new("/sys/fs/cgroup").join(controller).join(path))
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    Some(Mount { point: before.split(' ').nth(4)?.into(), kind: after.split(' ').next()?.into() })
}

fn read(pid: i32, file: &str) -> Result<String> {
    let path = at(pid, file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn at(pid: i32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_the_mount_table() {
        let expected = Mount { point: "/dev".into(), kind: "tmpfs".into() };
        let line = "36 35 0:62 / /dev rw,nosuid shared:7 - tmpfs tmpfs rw,size=64k";
        assert_eq!(mount(line), Some(expected));
        assert_eq!(mount("36 35"), None);
    }
}
