//! The folders a guest may look into, in the words in which WasmEdge is told to open them.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};

/// One folder.
pub struct Folder {
    /// Its path, for the guest.
    pub name: String,
    /// `GUEST:HOST`.
    pub described: String,
}

/// Those of `preopens` that are folders. One that is a file (a bind-mounted one) is left out: the guest reaches it
/// through the folder that holds it.
///
/// WasmEdge leaves out without a word what it cannot open. So each is opened here first, with the guest's user's rights.
///
/// # Errors
/// Names the first path that cannot be opened.
pub fn folders(preopens: &[PathBuf]) -> anyhow::Result<Vec<Folder>> {
    let mut folders = Vec::new();
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
                return Err(anyhow!("cannot open {shown} for the guest: its user may not read that folder"));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {shown} for the guest")),
        }
        folders.push(Folder { name: name.into(), described: format!("{name}:{name}") });
    }
    Ok(folders)
}
