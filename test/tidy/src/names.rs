//! Words that mean too little to name a thing.

use crate::finding;
use crate::tokens;
use crate::tree::File;

const EMPTY: [&str; 4] = ["manager", "context", "util", "common"];
const DECLARE: [&str; 8] = ["const", "enum", "fn", "mod", "static", "struct", "trait", "type"];

/// No declared name contains such a word.
pub fn say_something(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust_in("crates/") || file.is_rust_in("test/")) {
        for pair in tokens::of(file.text()).windows(2) {
            if DECLARE.contains(&pair[0].word.as_str())
                && let Some(empty) = words(&pair[1].word).iter().find_map(|word| empty(word))
            {
                let sentence = format!("`{}` is named by the word {empty:?}", pair[1].word);
                found.push(finding(&file.path, pair[1].line, sentence));
            }
        }
    }
    found
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter != '_') {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

fn empty(word: &str) -> Option<&'static str> {
    EMPTY.into_iter().find(|empty| word == *empty || word.strip_suffix('s') == Some(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_found_in_any_case() {
        let source =
            "//! a\nmod utils;\nstruct TaskManager;\nfn by_context() {}\nfn commonly() { common() }\n";
        let found = say_something(&[File::new("crates/a/src/b.rs", source)]);
        assert_eq!(
            found,
            [
                "crates/a/src/b.rs:2: `utils` is named by the word \"util\"",
                "crates/a/src/b.rs:3: `TaskManager` is named by the word \"manager\"",
                "crates/a/src/b.rs:4: `by_context` is named by the word \"context\"",
            ]
        );
    }
}
