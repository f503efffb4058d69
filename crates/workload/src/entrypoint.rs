//! Parses a container's first argument: `path` or `path#function`.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What to start: a file of the root file system and, optionally, one of its exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrypoint {
    /// The path as written, before any look-up.
    pub path: String,
    /// The export after `#`; `None` means the module's own start.
    pub function: Option<String>,
}

/// Why the first argument is not a valid entrypoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntrypointError {
    /// `#function` or an empty string.
    #[error("the entrypoint {0:?} names no file; write PATH or PATH#FUNCTION as the first argument")]
    NoPath(String),
    /// `path#`.
    #[error("the entrypoint {0:?} ends in '#' without a function; write PATH#FUNCTION, or leave the '#' out")]
    NoFunction(String),
}

impl Entrypoint {
    /// Parses `args[0]`. A path that itself contains `#` is split at the last one.
    ///
    /// # Errors
    /// [`EntrypointError`] when either side of the `#` is empty.
    pub fn parse(arg0: &str) -> Result<Self, EntrypointError> {
        let (path, function) = match arg0.rsplit_once('#') {
            Some((_, "")) => return Err(EntrypointError::NoFunction(arg0.into())),
            Some((path, function)) => (path, Some(function.into())),
            None => (arg0, None),
        };
        if path.is_empty() {
            return Err(EntrypointError::NoPath(arg0.into()));
        }
        Ok(Self { path: path.into(), function })
    }

    /// The paths to try in order, relative to the root file system, without a leading `/`.
    ///
    /// As `execvp`: a name with a slash is absolute or relative to `cwd`, a bare name is searched in `PATH`. A bare
    /// name is then tried in `cwd` as well, since a Wasm file needs no x-bit and images commonly have
    /// `ENTRYPOINT ["app.wasm"]`.
    pub fn candidates(&self, cwd: &Path, search: Option<&str>) -> Vec<PathBuf> {
        let below_cwd = in_root(&cwd.join(&self.path));
        if self.path.contains('/') {
            return vec![below_cwd];
        }
        let dirs = search.unwrap_or(DEFAULT_PATH).split(':').filter(|dir| !dir.is_empty());
        let mut found: Vec<PathBuf> = dirs.map(|dir| in_root(&cwd.join(dir).join(&self.path))).collect();
        if !found.contains(&below_cwd) {
            found.push(below_cwd);
        }
        found
    }
}

/// What runc searches when the image sets no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `path` without its root and with `.` and `..` resolved by name, never above the root.
fn in_root(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut walked, part| {
        match part {
            Component::Normal(name) => walked.push(name),
            Component::ParentDir => {
                walked.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        walked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_users_write() {
        let check = |arg0: &str, path: &str, function: Option<&str>| {
            let entrypoint = Entrypoint::parse(arg0).unwrap();
            assert_eq!((entrypoint.path.as_str(), entrypoint.function.as_deref()), (path, function));
        };
        check("/app.wasm", "/app.wasm", None);
        check("app.wasm#run", "app.wasm", Some("run"));
        check("a#b.wasm#run", "a#b.wasm", Some("run"));
        check("/app.wasm#wasi:cli/run@0.2.0", "/app.wasm", Some("wasi:cli/run@0.2.0"));
        assert_eq!(Entrypoint::parse("#run"), Err(EntrypointError::NoPath("#run".into())));
        assert_eq!(Entrypoint::parse(""), Err(EntrypointError::NoPath("".into())));
        assert_eq!(Entrypoint::parse("a.wasm#"), Err(EntrypointError::NoFunction("a.wasm#".into())));
    }

    #[test]
    fn looks_where_execvp_would() {
        let check = |arg0: &str, cwd: &str, search: Option<&str>, expected: &[&str]| {
            let found = Entrypoint::parse(arg0).unwrap().candidates(Path::new(cwd), search);
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check("/a/b.wasm", "/w", None, &["a/b.wasm"]);
        check("./b.wasm", "/w", None, &["w/b.wasm"]);
        check("../../b.wasm", "/w", None, &["b.wasm"]);
        check("b.wasm", "/w", Some("/bin:/opt"), &["bin/b.wasm", "opt/b.wasm", "w/b.wasm"]);
        check("b.wasm", "/bin", Some("/bin"), &["bin/b.wasm"]);
    }
}
