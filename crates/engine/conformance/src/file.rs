//! Loads the cases of a directory. Owns which files are cases and which names they may have.

use std::path::{Path, PathBuf};
use std::{error, fmt, fs, io};

use crate::directive::parse;
use crate::{Case, ParseError};

/// Why the cases of a directory could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// A file or directory that could not be read.
    Read(PathBuf, io::Error),
    /// An invalid header.
    Parse(ParseError),
    /// A name that cannot be the name of a container.
    Name(PathBuf),
    /// Two files that would become the same module in the image.
    Twice(String),
}

/// Reads every `.wat` and `.case` file of `dir`, sorted by name.
///
/// # Errors
/// [`LoadError`] for the first file that is no valid case.
pub fn load_all(dir: &Path) -> Result<Vec<Case>, LoadError> {
    let unread = |error| LoadError::Read(dir.into(), error);
    let mut cases = Vec::new();
    for entry in fs::read_dir(dir).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.extension().is_some_and(|extension| extension == "wat" || extension == "case") {
            cases.push(load(&path)?);
        }
    }
    cases.sort_by(|a: &Case, b| a.name.cmp(&b.name));
    match cases.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(LoadError::Twice(pair[0].name.clone())),
        None => Ok(cases),
    }
}

fn load(path: &Path) -> Result<Case, LoadError> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| LoadError::Name(path.into()))?;
    // The name becomes part of a container's id.
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if stem.is_empty() || !stem.bytes().all(plain) {
        return Err(LoadError::Name(path.into()));
    }
    let text = fs::read_to_string(path).map_err(|error| LoadError::Read(path.into(), error))?;
    parse(name, &text).map_err(LoadError::Parse)
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Parse(error) => error.fmt(out),
            Self::Name(path) => {
                write!(out, "{}: a case is called with a-z, 0-9 and '-' only", path.display())
            }
            Self::Twice(name) => write!(out, "{name}.wat and {name}.case would be the same module"),
        }
    }
}

impl error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_dir(test: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("cases-{}-{test}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.join(name), text).unwrap());
        dir
    }

    fn check(test: &str, files: &[(&str, &str)], expected: &str) {
        let dir = make_dir(test, files);
        let loaded = match load_all(&dir) {
            Ok(cases) => cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(loaded.replace(&format!("{}/", dir.display()), ""), expected);
    }

    #[test]
    fn loads_the_cases_of_a_directory_by_name() {
        let guest = ";; S.\n;; GUEST: g.wasm\n";
        check("order", &[("b.wat", ";; S.\n"), ("a-1.case", guest), ("README.md", "")], "a-1 b");
        check("header", &[("a.wat", ";; S.\n;; NO: 1\n")], "a.wat:2: NO: unknown directive");
        check("name", &[("A_b.wat", ";; S.\n")], "A_b.wat: a case is called with a-z, 0-9 and '-' only");
        check(
            "twice",
            &[("a.wat", ";; S.\n"), ("a.case", guest)],
            "a.wat and a.case would be the same module",
        );
    }

    #[test]
    fn names_the_missing_directory() {
        let error = load_all(Path::new("/no/such/directory")).unwrap_err();
        assert_eq!(error.to_string(), "/no/such/directory: No such file or directory (os error 2)");
    }
}
