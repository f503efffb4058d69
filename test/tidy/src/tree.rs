//! The files of the repository, read once.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Directories without files of ours: those of git, cargo and the guests' toolchain.
const FOREIGN: [&str; 3] = [".git", ".cache", "target"];

/// A file; its path is relative to the repository, with `/`.
#[derive(Clone, Debug)]
pub struct File {
    /// As in `crates/shim/src/main.rs`.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl File {
    /// A file for tests, which exists on no disk.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), bytes: text.into() }
    }

    /// Its text; empty when it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Whether it is Rust, and below `directory`.
    pub fn is_rust_in(&self, directory: &str) -> bool {
        self.path.starts_with(directory) && self.path.ends_with(".rs")
    }
}

/// The repository's root directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).into()
}

/// Every file of the repository, sorted by path.
///
/// # Errors
/// When one cannot be read.
pub fn files() -> io::Result<Vec<File>> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The names at the top.
///
/// # Errors
/// When the directory cannot be read.
pub fn top() -> io::Result<Vec<String>> {
    fs::read_dir(root())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn collect(directory: &Path, root: &Path, into: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        // Also a file: in a second worktree, `.git` is one.
        if FOREIGN.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if kind.is_dir() {
            collect(&path, root, into)?;
        } else if kind.is_file() {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            into.push(File { path: relative, bytes: fs::read(&path)? });
        }
    }
    Ok(())
}
