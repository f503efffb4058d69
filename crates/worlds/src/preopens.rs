//! The directories that a guest sees, for any engine: the container's root and its mounts, each under its own path.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use anyhow::{Context, bail};

/// Calls `open` with each of `preopens`, as the guest's user; the guest sees it under the same path.
///
/// A path that is a file (a bind mount) is skipped: the guest reaches it through its directory.
///
/// # Errors
/// Names the first path that cannot be opened. The kernel's refusal, an `io::Error` of `open`, is explained.
pub fn open_each(
    preopens: &[PathBuf],
    mut open: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for path in preopens {
        let shown = path.display();
        let name = path.to_str().with_context(|| format!("the path {shown} is not UTF-8"))?;
        let Err(error) = open(name) else { continue };
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(ErrorKind::NotADirectory) => {}
            Some(ErrorKind::PermissionDenied) => {
                bail!("cannot open {shown} for the guest: its user may not read that directory");
            }
            _ => return Err(error.context(format!("cannot open {shown} for the guest"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_skipped_and_refusals_explained() {
        let check = |kind: Option<ErrorKind>, expected: Result<(), &str>| {
            let open = |_: &str| kind.map_or(Ok(()), |kind| Err(io::Error::from(kind).into()));
            let opened = open_each(&["/data".into()], open).map_err(|error| format!("{error:#}"));
            assert_eq!(opened, expected.map_err(str::to_owned), "{kind:?}");
        };
        check(None, Ok(()));
        check(Some(ErrorKind::NotADirectory), Ok(()));
        let refused = "cannot open /data for the guest: its user may not read that directory";
        check(Some(ErrorKind::PermissionDenied), Err(refused));
        check(Some(ErrorKind::NotFound), Err("cannot open /data for the guest: entity not found"));
    }
}
