//! The program that reads a process's output, as containerd's clients name it.

use std::os::fd::OwnedFd;

/// A program that reads a process's output, as `binary://PATH?NAME=VALUE` names it.
#[derive(Debug)]
pub struct Logger {
    /// Its file and its arguments.
    pub command: Vec<String>,
    /// The read ends of standard output and standard error.
    pub pipes: [OwnedFd; 2],
}

impl Logger {
    /// The logger `PATH?NAME=VALUE`, which reads from `pipes`.
    pub(super) fn of(uri: &str, pipes: [OwnedFd; 2]) -> Self {
        Self { command: command(uri), pipes }
    }
}

/// The command of `PATH?NAME=VALUE&…` as containerd's own shims read it: each name, then its value.
fn command(uri: &str) -> Vec<String> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let words = query.split('&').filter(|pair| !pair.is_empty()).flat_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        [name, value].map(decoded)
    });
    std::iter::once(path.to_owned()).chain(words).collect()
}

/// Decodes `+` and `%XX` in a query; an invalid `%XX` stays as it is.
fn decoded(word: &str) -> String {
    let bytes = word.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = || word.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok());
        match (byte, code()) {
            (b'%', Some(code)) => {
                plain.push(code);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_is_named_as_containerd_names_it() {
        let check = |uri: &str, expected: &[&str]| assert_eq!(command(uri), expected, "{uri}");
        check("/bin/log", &["/bin/log"]);
        check("/bin/log?id=x&debug", &["/bin/log", "id", "x", "debug", ""]);
        check(
            "/bin/log?_NERDCTL%20x=a%2Fb+c&p=100%&q=%zz",
            &["/bin/log", "_NERDCTL x", "a/b c", "p", "100%", "q", "%zz"],
        );
    }
}
