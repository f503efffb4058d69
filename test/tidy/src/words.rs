//! Words with a standard term that is shorter or clearer: the files must use that term.
//!
//! The words are split here, so that this file does not contain them.

use crate::finding;
use crate::tree::File;

/// Each banned form with the term to use instead.
const BANNED: [(&str, &str); 13] = [
    (concat!("fol", "der"), "directory"),
    (concat!("fol", "ders"), "directories"),
    (concat!("te", "ll"), "report, send, return, notify or distinguish"),
    (concat!("te", "lls"), "reports, sends, returns, notifies or distinguishes"),
    (concat!("to", "ld"), "reported, sent, returned, notified or distinguished"),
    (concat!("tel", "ling"), "reporting, sending, returning, notifying or distinguishing"),
    (concat!("us", "ual"), "default, common or normal"),
    (concat!("us", "ually"), "by default, commonly or normally"),
    (concat!("who", "ever"), "the caller, client, peer, user or process that"),
    (concat!("no", "body"), "no one, no process, no client or never"),
    (concat!("be", "ar"), "start, fork, create or support"),
    (concat!("be", "ars"), "starts, forks, creates or supports"),
    (concat!("bo", "re"), "started, forked, created or supported"),
];

/// Texts that stay, each with its file and the reason.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    (
        "test/e2e/tests/e2e/opa.rs",
        concat!("\"no", "body\": \"http://127.0.0.1:1/\""),
        "the input of a committed policy, test/guests/opa/send.wasm",
    ),
    (
        "test/e2e/tests/e2e/opa.rs",
        concat!("\"te", "lls\": true"),
        "the result of a committed policy, test/guests/opa/send.wasm",
    ),
    (
        "test/examples/rust/src/lib.rs",
        concat!("no", "body has read it before"),
        "a message in the committed app.wasm",
    ),
];

/// No Rust source, page, script, manifest or Makefile has a banned word, in any case, except in `findings`.
pub fn are_standard(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_checked(&file.path)) {
        let kept: Vec<&str> =
            EXCEPTIONS.iter().filter(|(path, ..)| file.path == *path).map(|(_, text, _)| *text).collect();
        for (number, line) in file.text().lines().enumerate() {
            let line = kept.iter().fold(line.to_owned(), |line, text| line.replace(text, ""));
            found.extend(banned(&line).map(|(word, instead)| {
                finding(&file.path, number + 1, format!("the word {word:?}: write {instead}"))
            }));
        }
    }
    found
}

/// Every exception has a reason, and its text is in its file.
pub fn exceptions_are_needed(files: &[File]) -> Vec<String> {
    let is_needed =
        |path: &str, text: &str| files.iter().any(|file| file.path == path && file.text().contains(text));
    let stale = EXCEPTIONS.iter().filter(|(path, text, why)| why.is_empty() || !is_needed(path, text));
    stale
        .map(|(path, text, _)| finding(path, 1, format!("test/tidy excepts {text:?}, which is not here")))
        .collect()
}

fn is_checked(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let kind = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
    ["rs", "md", "sh", "toml", "Makefile"].contains(&kind) && !path.starts_with("findings/")
}

/// The banned words of a line. A name with hyphens or underscores inside is one word.
fn banned(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let inner = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == '-';
    line.split(move |sign: char| !inner(sign)).filter_map(|word| {
        let word = word.trim_matches(['_', '-']);
        BANNED.into_iter().find(|(banned, _)| word.eq_ignore_ascii_case(banned))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(are_standard(&[File::new(path, text)]), expected, "{path}: {text:?}");
    }

    #[test]
    fn a_banned_word_is_found_in_any_case() {
        let word = concat!("fol", "der");
        let found = format!("crates/a/src/b.rs:2: the word {word:?}: write directory");
        for text in [word.to_owned(), word.to_uppercase(), format!("a `{word}`'s"), format!("f(\"-{word}\")")]
        {
            check("crates/a/src/b.rs", &format!("a\n{text}\n"), &[&found]);
        }
        check("crates/a/src/b.rs", &format!("a\n{word} _{word}\n"), &[&found, &found]);
        for (word, _) in BANNED {
            assert_eq!(banned(word).count(), 1, "{word}");
        }
    }

    #[test]
    fn other_words_and_other_files_are_not_found() {
        let word = concat!("te", "ll");
        check("a.md", &format!("s{word} {word}er fd_{word} a-{word}-b un{word}\n"), &[]);
        for path in ["findings/a.sh", "a.wat", "Cargo.lock", "b/Makefile.in"] {
            check(path, word, &[]);
        }
        for path in ["a.md", "b/c.sh", "Cargo.toml", "Makefile", "b/Makefile"] {
            assert_eq!(are_standard(&[File::new(path, word)]).len(), 1, "{path}");
        }
    }

    #[test]
    fn an_exception_holds_for_its_text_alone() {
        let (path, text, _) = EXCEPTIONS[2];
        check(path, &format!("expect(\"{text}\")\n"), &[]);
        assert_eq!(are_standard(&[File::new(path, concat!("no", "body"))]).len(), 1);
        assert_eq!(are_standard(&[File::new("a.rs", text)]).len(), 1);
        let others = EXCEPTIONS.len() - 1;
        assert_eq!(exceptions_are_needed(&[File::new(path, text)]).len(), others, "the others are not there");
    }
}
