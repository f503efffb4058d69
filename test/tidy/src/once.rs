//! What is worked out in one place only, and handed on from there.

use crate::finding;
use crate::tokens;
use crate::tree::File;

/// Where, what, how often it may stand there, and what to use instead.
const ONCE: [(&str, &[&str], usize, &str); 4] = [
    (
        "crates/shim/src/",
        &["Namespaces", ":", ":", "of"],
        1,
        "the namespaces that `launch` works out travel with the request",
    ),
    ("crates/container/src/", &["Namespaces", ":", ":", "of"], 1, "the namespaces are an argument"),
    ("crates/shim/src/", &["spec", ".", "process"], 0, "`Workload::process` is the process that runs"),
    (
        "crates/container/src/",
        &["workload", ".", "spec", ".", "process"],
        0,
        "`Workload::process` is the process that runs",
    ),
];

/// Nothing of the list is worked out once more.
pub fn is_worked_out(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (dir, phrase, max, instead) in ONCE {
        let places = files.iter().filter(|file| file.is_rust_in(dir)).flat_map(|file| {
            let lines = tokens::lines_of(tokens::without_tests(&tokens::of(file.text())), phrase);
            lines.into_iter().map(|line| (&file.path, line))
        });
        let more = places.skip(max);
        found.extend(
            more.map(|(path, line)| {
                finding(path, line, format!("`{}` once more: {instead}", phrase.concat()))
            }),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_place_is_found() {
        let one = File::new(
            "crates/shim/src/a.rs",
            "fn a() { Namespaces::of(s) } mod tests { fn b() { Namespaces::of(s) } }",
        );
        let two = File::new("crates/shim/src/b.rs", "fn a() { Namespaces::of(s) }");
        assert_eq!(is_worked_out(&[one.clone()]), [""; 0]);
        let sentence = "the namespaces that `launch` works out travel with the request";
        assert_eq!(
            is_worked_out(&[one, two]),
            [format!("crates/shim/src/b.rs:1: `Namespaces::of` once more: {sentence}")]
        );
    }
}
