//! Finds the file that a container starts from, in the bundle, before the box is built.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use workload::{Format, Workload};

use crate::layers::Layers;
use crate::rootfs::beneath::{find_in, open_found};
use crate::source::Source;

/// Max size of a Wasm file, in bytes: far above what is shipped, far below what would hurt a node.
pub const LARGEST_WASM: u64 = 1 << 30;

/// Where a container's entrypoint may be: in the root file system, or in a mount that will cover it.
#[derive(Debug)]
pub struct Search {
    /// The entrypoint as it was written.
    name: String,
    /// Directories of the host, and a path in each.
    places: Vec<(PathBuf, PathBuf)>,
    layers: Layers,
}

impl Search {
    /// The candidates of `workload`, whose image has these layers.
    pub fn of(workload: &Workload, layers: &Layers) -> Self {
        let candidates = workload.entrypoint_candidates();
        let places = candidates.iter().map(|candidate| workload.locate(candidate)).collect();
        Self { name: workload.entrypoint.path.clone(), places, layers: layers.clone() }
    }

    /// Finds the entrypoint as `execvp` would in the finished box. Blocks on the file system: an image's files may
    /// come over the network only now.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn find(self) -> anyhow::Result<Source> {
        let Self { name, places, layers } = self;
        for (base, rest) in places {
            match find_in(&base, &rest) {
                Ok(file) => {
                    let (file, format) = read_head(file).with_context(|| format!("cannot run {name:?}"))?;
                    return Ok(layers.source(file, format));
                }
                Err(error) if is_absence(&error) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot open {name:?} in {}", base.display()));
                }
            }
        }
        // runc's wording, from which Docker derives an exit code.
        let missing = match name.contains('/') {
            true => "no such file or directory in the container's root file system",
            false => "executable file not found in $PATH of the container",
        };
        bail!("cannot run {name:?}: {missing}")
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_head(found: File) -> anyhow::Result<(File, Format)> {
    let metadata = found.metadata()?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let what = match () {
            () if kind.is_dir() => "a directory",
            () if kind.is_fifo() || kind.is_socket() => "a fifo or a socket",
            () => "a device",
        };
        bail!("permission denied: it is {what}; the entrypoint must be a file");
    }
    if metadata.len() == 0 {
        bail!("exec format error: it is empty (0 bytes)");
    }
    let mut file = open_found(&found).context("cannot read it")?;
    let mut head = Vec::with_capacity(Format::HEAD);
    file.by_ref().take(Format::HEAD as u64).read_to_end(&mut head).context("cannot read it")?;
    file.rewind().context("cannot read it")?;
    if metadata.len() > LARGEST_WASM && Format::sniff(&head).is_some_and(Format::is_wasm) {
        bail!("it is {} bytes long; Wasm may be {LARGEST_WASM} at most", metadata.len());
    }
    let Some(format) = Format::sniff(&head) else {
        bail!(
            "exec format error: it is neither Wasm (a module, a component or their text) nor a Linux program (ELF or #!)"
        );
    };
    Ok((file, format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn workload(bundle: &Path, arg0: &str) -> Workload {
        let json = format!(
            r#"{{"ociVersion":"1.0.2","root":{{"path":"rootfs"}},
                "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/","args":["{arg0}"]}},
                "mounts":[{{"destination":"/vol","source":"volume","options":["rbind"]}}]}}"#
        );
        Workload::read("c", bundle, json.as_bytes(), workload::Options::default()).unwrap()
    }

    #[test]
    fn finds_files_without_leaving_the_root() {
        let bundle = tempfile::tempdir().unwrap();
        let at = |path: &str| bundle.path().join(path);
        fs::create_dir_all(at("rootfs/dir")).unwrap();
        fs::create_dir_all(at("volume")).unwrap();
        fs::write(at("rootfs/app.wasm"), b"\0asm\x01\0\0\0").unwrap();
        fs::write(at("volume/v.wasm"), b"\0asm\x01\0\0\0").unwrap();
        fs::write(at("outside"), b"\x7fELF").unwrap();
        fs::write(at("rootfs/empty"), b"").unwrap();
        fs::write(at("rootfs/text"), b"hello").unwrap();
        symlink("../../outside", at("rootfs/escape")).unwrap();
        symlink("/app.wasm", at("rootfs/link")).unwrap();
        let layers = Layers::none_at(&at("rootfs"));
        let find = |arg0: &str| Search::of(&workload(bundle.path(), arg0), &layers).find();
        for good in ["/app.wasm", "app.wasm", "/link", "/vol/v.wasm"] {
            assert_eq!(find(good).unwrap().format, Format::Module, "{good}");
        }
        let check = |arg0: &str, words: &str| {
            let error = format!("{:#}", find(arg0).unwrap_err());
            assert!(error.contains(words) && error.contains(arg0), "{error}");
        };
        check("/escape", "no such file");
        check("nope", "not found in $PATH");
        check("/dir", "a directory");
        check("/empty", "0 bytes");
        check("/text", "neither Wasm");
    }
}
