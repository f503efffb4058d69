//! What is computed in one place only, and passed on from there.

use crate::finding;
use crate::tokens;
use crate::tree::File;

/// A directory, the expression, its maximum number there, and what to use instead.
const ONCE: [(&str, &[&str], usize, &str); 4] = [
    (
        "crates/shim/src/",
        &["Namespaces", ":", ":", "of"],
        1,
        "the namespaces that `launch` computes travel with the request",
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

/// Nothing of the list is computed a second time.
pub fn is_computed(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (dir, phrase, max, instead) in ONCE {
        let places = files.iter().filter(|file| file.is_rust_in(dir)).flat_map(|file| {
            let lines = tokens::lines_of(tokens::without_tests(&tokens::of(file.text())), phrase);
            lines.into_iter().map(|line| (&file.path, line))
        });
        let more = places.skip(max);
        found.extend(more.map(|(path, line)| {
            finding(path, line, format!("`{}` once too often: {instead}", phrase.concat()))
        }));
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
        assert_eq!(is_computed(std::slice::from_ref(&one)), [""; 0]);
        let sentence = "the namespaces that `launch` computes travel with the request";
        assert_eq!(
            is_computed(&[one, two]),
            [format!("crates/shim/src/b.rs:1: `Namespaces::of` once too often: {sentence}")]
        );
    }
}
