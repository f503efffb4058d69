//! Adds what a program needs and its image may lack, as runc does: a working directory and HOME.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use workload::Workload;

use super::beneath::{find_in, find_or_make_directory, open_directory, open_found};

/// Creates the working directory if the image lacks it, as runc does, without leaving the root.
///
/// # Errors
/// Names the directory that cannot be created.
pub(crate) fn make_cwd(workload: &Workload) -> anyhow::Result<()> {
    let cwd = workload.process().cwd();
    let (base, rest) = workload.locate(cwd.strip_prefix("/").unwrap_or(cwd));
    if rest.as_os_str().is_empty() || find_in(&base, &rest).is_ok() {
        return Ok(());
    }
    let made =
        open_directory(&base).map_err(Into::into).and_then(|root| find_or_make_directory(&root, &rest));
    made.map(drop).with_context(|| format!("cannot make the working directory {}", cwd.display()))
}

/// The environment of a workload's program, with HOME added, as by runc, if it is missing.
pub(crate) fn env_with_home(workload: &Workload) -> Vec<String> {
    let process = workload.process();
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={}", home_of(&workload.rootfs(), process.user().uid()).display()));
    }
    env
}

/// The home directory of `uid` in the image's `/etc/passwd`, looked up as by runc: by reading the file, never through
/// a C library, which would follow the image's own configuration.
fn home_of(rootfs: &Path, uid: u32) -> PathBuf {
    const ENOUGH: u64 = 1 << 20;
    let mut text = String::new();
    let read = find_in(rootfs, Path::new("etc/passwd")).and_then(|found| {
        // Not a device or a fifo of that name.
        let file = if found.metadata()?.is_file() { open_found(&found)? } else { return Ok(0) };
        file.take(ENOUGH).read_to_string(&mut text)
    });
    let home = read.ok().and_then(|_| {
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields[..] {
            [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) && !home.is_empty() => Some(home.to_owned()),
            _ => None,
        })
    });
    home.unwrap_or_else(|| "/".into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_home_from_the_image() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nbad\nu:x:7:7::/home/u:\n")
            .unwrap();
        assert_eq!(home_of(root.path(), 0), Path::new("/root"));
        assert_eq!(home_of(root.path(), 7), Path::new("/home/u"));
        assert_eq!(home_of(root.path(), 8), Path::new("/"));
    }
}
