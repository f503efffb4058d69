//! What no file may contain: unfinished work, and paths of one machine.

use crate::tokens;
use crate::tree::File;
use crate::{finding, tree};

/// The maximum number of lines of a file in crates/.
const LONGEST: usize = 400;
/// Directories of one machine. Split so that this file does not match.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Every `.rs` file opens with `//!`.
pub fn opens_with_docs(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust_in("crates/") || file.is_rust_in("test/"));
    let bare = rust.filter(|file| !file.text().starts_with("//!"));
    bare.map(|file| finding(&file.path, 1, "does not open with //!")).collect()
}

/// No file in crates/ has more than `LONGEST` lines.
pub fn is_short(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text().lines().count();
    let long = files.iter().filter(|file| file.is_rust_in("crates/") && lines(file) > LONGEST);
    long.map(|file| finding(&file.path, LONGEST + 1, format!("{} lines; {LONGEST} are enough", lines(file))))
        .collect()
}

/// No macro stands for missing code, and no test is ignored.
pub fn is_finished(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust_in("")) {
        let tokens = tokens::of(file.text());
        for (phrase, what) in [
            (&["todo", "!"][..], "a macro for code to come"),
            (&["unimplemented", "!"], "a macro for code to come"),
            (&["#", "[", "ignore"], "an ignored test"),
        ] {
            found.extend(
                tokens::lines_of(&tokens, phrase).iter().map(|line| finding(&file.path, *line, what)),
            );
        }
    }
    found
}

/// No note of work to be done: that is what issues are for.
pub fn has_no_notes(files: &[File]) -> Vec<String> {
    let noted =
        |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| UNFINISHED.contains(&word));
    find_lines(files, |line| noted(line).then_some("a note of work to be done".into()))
}

/// No text names a directory of the machine it was written on.
pub fn is_portable(files: &[File]) -> Vec<String> {
    find_lines(files, |line| {
        let directory = MACHINE.iter().find(|directory| names(line, directory))?;
        Some(format!("{directory} is a directory of one machine"))
    })
}

/// No built guest does either: compilers record the path of the sources.
pub fn guests_are_portable(files: &[File]) -> Vec<String> {
    let wasm = files.iter().filter(|file| file.path.ends_with(".wasm"));
    let names_machine = |file: &&tree::File| {
        let text = String::from_utf8_lossy(&file.bytes);
        MACHINE.iter().any(|directory| names(&text, directory))
    };
    wasm.filter(names_machine)
        .map(|file| finding(&file.path, 1, "contains a path of the machine that built it"))
        .collect()
}

/// Whether a path in `text` begins with `directory`; a match inside a longer path does not count.
fn names(text: &str, directory: &str) -> bool {
    let inner = |before: char| before.is_alphanumeric() || "_-.}".contains(before);
    text.match_indices(directory).any(|(at, _)| !text[..at].ends_with(inner))
}

fn find_lines(files: &[File], what: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let lines = files
        .iter()
        .flat_map(|file| file.text().lines().enumerate().map(move |(i, line)| (file, i + 1, line)));
    lines.filter_map(|(file, number, line)| Some(finding(&file.path, number, what(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(check: fn(&[File]) -> Vec<String>, text: &str, expected: &[usize]) {
        let found = check(&[File::new("crates/a/src/b.rs", text)]);
        let lines: Vec<usize> =
            found.iter().map(|finding| finding.split(':').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(lines, expected, "{text:?}: {found:?}");
    }

    #[test]
    fn each_check_finds_what_it_is_for() {
        check(opens_with_docs, "//! Docs.\n", &[]);
        check(opens_with_docs, "// Docs.\n", &[1]);
        check(is_short, &"\n".repeat(400), &[]);
        check(is_short, &"\n".repeat(401), &[401]);
        check(is_finished, "fn f() { todo!() }\n#[test]\n#[ignore]\nfn g() {}\n", &[1, 3]);
        check(is_finished, "fn f() { \"todo!()\"; unimplemented() }\n", &[]);
        check(has_no_notes, concat!("//! a\n// TO", "DO: b\n//! TO", "DOS\n"), &[2]);
        check(is_portable, concat!("a\n\"/ro", "ot/b\"\n$apt/ro", "ot/usr\n"), &[2]);
        check(guests_are_portable, concat!("\"/ro", "ot/b\""), &[]);
    }
}
