//! The files of a crate import each other in one direction, so a reader of one file can skip the files that import it.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{self, Token};
use crate::tree::File;

/// Crates without import cycles between files. A file's mention of its own children does not count as an import.
const STRAIGHT: [&str; 2] = ["crates/container/src/", "crates/shim/src/"];

/// A module's path, from the crate's root.
type Module = Vec<String>;

/// The import cycles within these crates.
pub fn are_none(files: &[File]) -> Vec<String> {
    STRAIGHT.iter().flat_map(|directory| circles(files, directory)).collect()
}

fn circles(files: &[File], directory: &str) -> Vec<String> {
    let of_crate = files.iter().filter(|file| file.is_rust_in(directory));
    let modules: BTreeMap<Module, &File> =
        of_crate.map(|file| (module(&file.path[directory.len()..]), file)).collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.iter().map(|(module, file)| (module, imported(&modules, module, file))).collect();
    let reached = |from: &Module| {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&Module> = imports[from].iter().copied().collect();
        while let Some(next) = ahead.pop() {
            if reached.insert(next) {
                ahead.extend(&imports[next]);
            }
        }
        reached
    };
    let all: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.keys().map(|module| (module, reached(module))).collect();
    let mut found = Vec::new();
    for (module, file) in &modules {
        let back = all[module].iter().filter(|other| **other > module && all[**other].contains(module));
        found.extend(back.map(|other| {
            crate::finding(&file.path, 1, format!("imports {}, which imports it", modules[*other].path))
        }));
    }
    found
}

/// `launch/mod.rs` is `launch`; `lib.rs` is the root.
fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let parts = path.split('/').filter(|part| *part != "lib").map(str::to_owned);
    parts.collect()
}

/// The modules that a file names by path, outside of its tests.
fn imported<'a>(modules: &'a BTreeMap<Module, &File>, own: &Module, file: &File) -> BTreeSet<&'a Module> {
    let tokens = tokens::of(file.text());
    let paths = paths(tokens::without_tests(&tokens), own);
    let mut imported = BTreeSet::new();
    for path in paths {
        let longest = (0..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length]));
        imported.extend(longest.map(|(module, _)| module).filter(|module| {
            // The root is imported for what it re-exports from its children.
            *module != own && !module.is_empty() && !module.starts_with(own)
        }));
    }
    imported
}

/// All paths that start with `crate`, `super` or `self`.
fn paths(tokens: &[Token], own: &Module) -> Vec<Module> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let begins = at == 0 || tokens[at - 1].word != ":";
        let base = match tokens[at].word.as_str() {
            "crate" if begins => Vec::new(),
            "super" if begins => own[..own.len().saturating_sub(1)].to_vec(),
            "self" if begins => own.clone(),
            _ => continue,
        };
        follow(tokens, at + 1, base, &mut found);
    }
    found
}

/// Collects the paths that continue `base` from `at`: names separated by `::`, perhaps a list in braces at the end.
/// Returns the index after the path.
fn follow(tokens: &[Token], mut at: usize, mut base: Module, found: &mut Vec<Module>) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.word.as_str());
    while word(at) == ":" && word(at + 1) == ":" {
        at += 2;
        match word(at) {
            "{" => {
                at += 1;
                while word(at) != "}" && at < tokens.len() {
                    let mut path = base.clone();
                    path.push(word(at).to_owned());
                    at = follow(tokens, at + 1, path, found);
                    while !matches!(word(at), "," | "}") && at < tokens.len() {
                        at += 1;
                    }
                    at += usize::from(word(at) == ",");
                }
                return at + 1;
            }
            "super" => {
                base.pop();
                at += 1;
            }
            name => {
                base.push(name.to_owned());
                at += 1;
            }
        }
    }
    found.push(base);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> usize {
        let file = |(path, text): &(&str, &str)| File::new(&format!("{}{path}", STRAIGHT[0]), text);
        circles(&files.iter().map(file).collect::<Vec<_>>(), STRAIGHT[0]).len()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        let lib = ("lib.rs", "mod a; mod b;");
        assert_eq!(found(&[lib, ("a.rs", "use crate::b::X;"), ("b.rs", "use crate::a::Y;")]), 1);
        assert_eq!(
            found(&[lib, ("a.rs", "fn f() { super::b::x() }"), ("b.rs", "use crate::{a::{Y, Z}, c};")]),
            1
        );
        let through = [("a.rs", "use crate::b;"), ("b.rs", "use super::c;"), ("c/mod.rs", "use crate::a;")];
        assert_eq!(found(&through), 3, "each pair of the circle");
    }

    #[test]
    fn one_direction_is_none() {
        assert_eq!(found(&[("a.rs", "use crate::b::X;"), ("b.rs", "use crate::c::Y;"), ("c.rs", "")]), 0);
        let tests = "mod tests { use crate::a; }";
        assert_eq!(found(&[("a.rs", "use crate::b;"), ("b.rs", tests)]), 0, "tests may");
        assert_eq!(found(&[("a/mod.rs", "mod b; use self::b::X;"), ("a/b.rs", "use super::Y;")]), 0);
    }
}
