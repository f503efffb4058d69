//! The guest's preopened directories, in WasmEdge's notation.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};

/// A preopened directory.
pub struct Preopen {
    /// Its path, for the guest.
    pub name: String,
    /// `GUEST:HOST`.
    pub mapping: String,
}

/// The directories of `preopens`. A file (a bind-mounted one) is left out: the guest reaches it through its parent
/// directory.
///
/// WasmEdge silently skips what it cannot open. So each is opened here first, with the permissions of the guest's user.
///
/// # Errors
/// Names the first path that cannot be opened.
pub fn directories(preopens: &[PathBuf]) -> anyhow::Result<Vec<Preopen>> {
    let mut directories = Vec::new();
    for path in preopens {
        let shown = path.display();
        let name = path.to_str().with_context(|| format!("the path {shown} is not UTF-8"))?;
        ensure!(
            !name.contains([':', '\0']),
            "cannot open {shown} for the guest: WasmEdge takes no path with a colon in it; mount it under another"
        );
        match File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => continue,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(anyhow!(
                    "cannot open {shown} for the guest: its user may not read that directory"
                ));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {shown} for the guest")),
        }
        directories.push(Preopen { name: name.into(), mapping: format!("{name}:{name}") });
    }
    Ok(directories)
}
