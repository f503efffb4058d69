//! Computes the build's id, a hash of all sources, so that the shim never executes the daemon of another build.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let crates = Path::new("..");
    let lock = Path::new("../../Cargo.lock");
    let mut sources = BTreeMap::from([(lock.to_owned(), fs::read(lock)?)]);
    for entry in fs::read_dir(crates)? {
        let source = entry?.path().join("src");
        if source.is_dir() {
            println!("cargo::rerun-if-changed={}", source.display());
            read(&source, &mut sources)?;
        }
    }
    println!("cargo::rerun-if-changed={}", lock.display());
    let mut hash = DefaultHasher::new();
    sources.hash(&mut hash);
    println!("cargo::rustc-env=LIGHTER_BUILD={:016x}", hash.finish());
    Ok(())
}

/// Reads all files below `dir`.
fn read(dir: &Path, sources: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, sources)?;
        } else {
            sources.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(())
}
