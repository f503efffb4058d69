//! Parses the header of one case. Owns the meaning of each directive; reads no files.

use std::path::{Component, Path, PathBuf};

use crate::expected::Expectation;
use crate::{Case, Expected, Mount, ParseError, Source, User};

/// Parses the case `name` (`NAME.wat` or `NAME.case`) from the text of its file.
///
/// # Errors
/// [`ParseError`] for the first line that is no known directive, repeats one that is not repeatable, or contradicts an
/// earlier one.
pub fn parse(name: &str, text: &str) -> Result<Case, ParseError> {
    let at = |line: usize| move |what: String| ParseError { file: name.into(), line, what };
    let mut header = Header::default();
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        let Some(comment) = line.strip_prefix(";;") else { break };
        last = index + 1;
        header.line(comment.strip_prefix(' ').unwrap_or(comment)).map_err(at(last))?;
    }
    header.finish(name, text).map_err(at(last.max(1)))
}

/// The content of the lines read so far.
#[derive(Default)]
struct Header {
    says: Option<String>,
    directives: bool,
    run: Option<Vec<String>>,
    args: Vec<String>,
    env: Vec<String>,
    cwd: Option<String>,
    entry: Option<String>,
    stdin: Option<String>,
    mounts: Vec<Mount>,
    readonly: Option<()>,
    user: Option<User>,
    memory: Option<u64>,
    signal: Option<String>,
    expected: Expectation,
    guest: Option<PathBuf>,
}

impl Header {
    fn line(&mut self, line: &str) -> Result<(), String> {
        match split(line) {
            Some((word, value)) if self.says.is_some() => {
                self.directives = true;
                self.directive(word, value).map_err(|what| format!("{word}: {what}"))
            }
            Some(_) => Err("a case begins with a sentence that says what it shows".into()),
            None if self.directives => Err("a sentence after a directive; sentences come first".into()),
            None => {
                self.says.get_or_insert_with(|| line.trim().into());
                Ok(())
            }
        }
    }

    fn directive(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "RUN" => once(&mut self.run, value.split_whitespace().map(Into::into).collect()),
            "ARG" => {
                self.args.push(value.into());
                Ok(())
            }
            "ENV" => pair(value).map(|pair| self.env.push(pair)),
            "CWD" => once(&mut self.cwd, absolute(value)?),
            "ENTRY" => once(&mut self.entry, value.into()),
            "STDIN" => once(&mut self.stdin, unescape(value)?),
            "MOUNT" => mount(value).map(|mount| self.mounts.push(mount)),
            "READONLY" if value == "rootfs" => once(&mut self.readonly, ()),
            "READONLY" => Err("only `rootfs` can be read-only".into()),
            "USER" => once(&mut self.user, user(value)?),
            "MEMORY" => once(&mut self.memory, mebibytes(value)?),
            "SIGNAL" if value.starts_with("SIG") => once(&mut self.signal, value.into()),
            "SIGNAL" => Err(format!("{value:?} is no signal name such as SIGTERM")),
            "GUEST" => once(&mut self.guest, inside(value)?),
            _ => self.expected.directive(word, value),
        }
    }

    fn finish(self, name: &str, text: &str) -> Result<Case, String> {
        let (stem, source) = match (name.rsplit_once('.'), self.guest) {
            (Some((stem, "wat")), None) => (stem, Source::Text(text.into())),
            (Some((stem, "case")), Some(guest)) => (stem, Source::Guest(guest)),
            (Some((_, "wat")), Some(_)) => return Err("GUEST belongs into a .case file".into()),
            (Some((_, "case")), None) => return Err("a .case file names its GUEST".into()),
            _ => return Err("a case is called NAME.wat or NAME.case".into()),
        };
        let expected = self.expected.finish()?;
        if self.signal.is_some() && matches!(expected, Expected::Refused(_)) {
            return Err("CREATE says the task never runs: no SIGNAL beside it".into());
        }
        Ok(Case {
            name: stem.into(),
            says: self.says.ok_or("a case begins with a sentence that says what it shows")?,
            source,
            entry: self.entry.unwrap_or_else(|| format!("/cases/{stem}.wasm")),
            args: [self.run.unwrap_or_default(), self.args].concat(),
            env: self.env,
            cwd: self.cwd,
            stdin: self.stdin,
            mounts: self.mounts,
            readonly_rootfs: self.readonly.is_some(),
            user: self.user,
            memory: self.memory,
            signal: self.signal,
            expected,
        })
    }
}

/// Splits `WORD: value`, if the line begins with a word in capitals and a colon.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let (word, value) = line.split_once(':')?;
    let capitals = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    capitals.then(|| (word, value.strip_prefix(' ').unwrap_or(value)))
}

/// Sets the value of a directive that is not repeatable.
///
/// # Errors
/// When it is set already.
pub fn once<T>(field: &mut Option<T>, value: T) -> Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("stands twice".into()),
    }
}

fn pair(value: &str) -> Result<String, String> {
    match value.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(value.into()),
        _ => Err(format!("{value:?} is not NAME=value")),
    }
}

fn absolute(value: &str) -> Result<String, String> {
    if value.starts_with('/') { Ok(value.into()) } else { Err(format!("{value:?} is not an absolute path")) }
}

fn inside(value: &str) -> Result<PathBuf, String> {
    let plain = Path::new(value).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !value.is_empty() {
        Ok(value.into())
    } else {
        Err(format!("{value:?} is not a path below test/guests"))
    }
}

fn mount(value: &str) -> Result<Mount, String> {
    match value.split_once(' ') {
        Some((rights @ ("ro" | "rw"), path)) => {
            Ok(Mount { path: absolute(path.trim())?, writable: rights == "rw" })
        }
        _ => Err(format!("{value:?} is not `ro /path` or `rw /path`")),
    }
}

fn user(value: &str) -> Result<User, String> {
    let ids = value.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    ids.map(|(uid, gid)| User { uid, gid }).ok_or_else(|| format!("{value:?} is not UID:GID in numbers"))
}

fn mebibytes(value: &str) -> Result<u64, String> {
    let number = value.strip_suffix(" MiB").and_then(|number| number.parse::<u32>().ok());
    number.map(|number| u64::from(number) << 20).ok_or_else(|| format!("{value:?} is not such as `32 MiB`"))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        plain.push(match char {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('\\') => '\\',
                other => {
                    return Err(format!("\\{} is no escape", other.map(String::from).unwrap_or_default()));
                }
            },
            char => char,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests;
