//! Unsafe code: declared in its file, named in its crate's root, justified block by block.

use crate::finding;
use crate::tokens;
use crate::tree::File;

/// How many lines above a block its reason may begin: the statement may be wrapped, or have an attribute.
const NEAR: usize = 4;
/// The first words of the paragraph that names the modules with unsafe code, in a crate root's docs.
const PARAGRAPH: &str = "//! Unsafe code";

/// A file with unsafe code allows it itself, with a reason, or its parent does at its `mod` line.
pub fn is_declared(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, line) in with_unsafe(files) {
        let declares =
            |source: &str| source.contains("expect(unsafe_code") || source.contains("allow(unsafe_code");
        let last = module(&file.path).rsplit("::").next().unwrap_or_default().to_owned();
        let by_parent = roots(files, file).any(|root| allows_module(root.text(), &last));
        if !declares(file.text()) && !by_parent {
            found.push(finding(
                &file.path,
                line,
                "unsafe, and not declared by #[expect(unsafe_code, reason = …)]",
            ));
        }
    }
    found
}

/// The crate's root names every module with unsafe code ("Unsafe code lives in `a`"), and no other.
/// A root with unsafe code of its own says so; for a test that is a single file its declaration is enough.
pub fn is_named(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, line) in with_unsafe(files) {
        let module = module(&file.path);
        let names_it = |root: &File| match root.path == file.path {
            true => !is_root(&root.path) || root.text().contains(PARAGRAPH),
            false => inventory(root).iter().any(|name| is(&module, name)),
        };
        if !roots(files, file).any(names_it) {
            let sentence = "unsafe, and the crate's root docs do not list it: \"Unsafe code lives in …\"";
            found.push(finding(&file.path, line, sentence));
        }
    }
    found.extend(ours(files).filter(|file| is_root(&file.path)).flat_map(|root| stale(files, root)));
    found
}

/// The modules that `root` names although they have no unsafe code. Other words in backticks are no modules.
fn stale(files: &[File], root: &File) -> Vec<String> {
    let below = |file: &File| directory(&file.path).starts_with(directory(&root.path));
    let line = root.text().lines().position(|line| line.starts_with(PARAGRAPH)).unwrap_or_default() + 1;
    let is_module = |name: &String| ours(files).any(|file| below(file) && is(&module(&file.path), name));
    let is_unsafe =
        |name: &String| with_unsafe(files).any(|(file, _)| below(file) && is(&module(&file.path), name));
    let names = inventory(root).into_iter().filter(|name| is_module(name) && !is_unsafe(name));
    names.map(|name| finding(&root.path, line, format!("there is no unsafe code in `{name}`"))).collect()
}

/// Every unsafe block and implementation has a comment above it that says why it is sound.
pub fn is_justified(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust_in("crates/") || file.is_rust_in("test/")) {
        let tokens = tokens::of(file.text());
        let lines: Vec<&str> = file.text().lines().map(str::trim).collect();
        let mut blocks = tokens::lines_of(&tokens, &["unsafe", "{"]);
        blocks.extend(tokens::lines_of(&tokens, &["unsafe", "impl"]));
        let bare = blocks.into_iter().filter(|line| !reason_above(&lines, *line));
        found.extend(bare.map(|line| finding(&file.path, line, "unsafe without a SAFETY comment above it")));
    }
    found
}

/// Whether the nearest comment above `line` holds a reason, with no other statement between.
fn reason_above(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev();
    let ends = |line: &&&str| line.is_empty() || (line.ends_with([';', '}']) && !line.starts_with('#'));
    let gap = above.clone().take(NEAR).take_while(|line| !line.starts_with("//") && !ends(line)).count();
    above.skip(gap).take_while(|line| line.starts_with("//")).any(|line| line.contains("SAFETY:"))
}

/// The files with the word `unsafe` in their code, and its first line. Guests are left out: in them only blocks need
/// a reason.
fn with_unsafe(files: &[File]) -> impl Iterator<Item = (&File, usize)> {
    ours(files).filter_map(|file| {
        let tokens = tokens::of(file.text());
        let line = tokens.iter().find(|token| token.word == "unsafe")?.line;
        Some((file, line))
    })
}

fn ours(files: &[File]) -> impl Iterator<Item = &File> {
    let rust = files.iter().filter(|file| file.is_rust_in("crates/") || file.is_rust_in("test/"));
    rust.filter(|file| !file.path.starts_with("test/guests/"))
}

/// The crate roots of `file`: the nearest lib.rs and main.rs above it, else `file` itself.
fn roots<'a>(files: &'a [File], file: &'a File) -> impl Iterator<Item = &'a File> {
    let mut directory = directory(&file.path);
    loop {
        let here = |root: &&File| is_root(&root.path) && self::directory(&root.path) == directory;
        let found: Vec<&File> = files.iter().filter(here).collect();
        match (found.is_empty(), directory.rsplit_once('/')) {
            (false, _) => return found.into_iter(),
            (true, Some((parent, _))) => directory = parent,
            (true, None) => return vec![file].into_iter(),
        }
    }
}

fn is_root(path: &str) -> bool {
    path.ends_with("/lib.rs") || path.ends_with("/main.rs")
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `a::b` for `crates/x/src/a/b.rs` and `crates/x/src/a/b/mod.rs`.
fn module(path: &str) -> String {
    let inner = path.split('/').skip(3).collect::<Vec<_>>().join("::");
    inner.trim_end_matches(".rs").trim_end_matches("::mod").into()
}

/// Whether `name` is the module's whole path or its last part.
fn is(module: &str, name: &str) -> bool {
    module == name || module.rsplit("::").next() == Some(name)
}

/// Whether `source` has an attribute that allows unsafe code right above `mod name;`.
fn allows_module(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let declared =
        |pair: &[&str]| pair[1].trim_start_matches("pub ").trim_end_matches(';') == format!("mod {name}");
    lines
        .windows(2)
        .any(|pair| declared(pair) && pair[0].starts_with("#[") && pair[0].contains("(unsafe_code"))
}

/// The names in backticks in the paragraph of a root's docs that begins with "Unsafe code".
fn inventory(root: &File) -> Vec<String> {
    let paragraph = root.text().lines().skip_while(|line| !line.starts_with(PARAGRAPH));
    let lines = paragraph.map_while(|line| line.strip_prefix("//! "));
    lines.collect::<Vec<_>>().join(" ").split('`').skip(1).step_by(2).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(root: &str, module: &str, expected: [usize; 3]) {
        let files = [File::new("crates/a/src/lib.rs", root), File::new("crates/a/src/b.rs", module)];
        let found = [is_declared(&files), is_named(&files), is_justified(&files)];
        assert_eq!(found.clone().map(|found| found.len()), expected, "{root:?} {module:?}: {found:?}");
    }

    #[test]
    fn unsafe_code_must_be_declared_named_and_justified() {
        let block = "// SAFETY: why.\nfn f() { unsafe { g() } }\n";
        let expect = "#![expect(unsafe_code, reason = \"why\")]\n";
        check("//! Unsafe code lives in [`b`].\nmod b;\n", &format!("{expect}{block}"), [0, 0, 0]);
        check(
            "//! Unsafe code: `b` only.\n#[expect(unsafe_code, reason = \"\")]\nmod b;\n",
            block,
            [0, 0, 0],
        );
        check("//! Unsafe code: `b` only.\nmod b;\n", block, [1, 0, 0]);
        check("//! No word of it.\nmod b;\n", &format!("{expect}{block}"), [0, 1, 0]);
        check("//! Unsafe code lives in `b`.\nmod b;\n", "fn f() {}\n", [0, 1, 0]);
        check(
            "//! Unsafe code: here.\n// SAFETY: b.\n#[expect(unsafe_code)]\nunsafe impl A for B {}\n",
            "",
            [0, 0, 0],
        );
        check("//! No word.\n// SAFETY: b.\n#[expect(unsafe_code)]\nunsafe impl A for B {}\n", "", [0, 1, 0]);
        check(
            "//! Unsafe code lives in `b`.\n",
            &format!("{expect}fn f() {{ unsafe {{ g() }} }}\n"),
            [0, 0, 1],
        );
    }

    #[test]
    fn a_reason_belongs_to_the_statement_below_it() {
        let reason = |above: &str| {
            is_justified(&[File::new("crates/a/src/b.rs", &format!("{above}    unsafe {{ g() }};\n"))])
                .is_empty()
        };
        assert!(reason("// SAFETY: why,\n// and why.\n"));
        assert!(reason("// SAFETY: why.\nlet a = f(\n"));
        assert!(!reason("// SAFETY: why.\nlet a = 1;\n"));
        assert!(!reason("// Because.\n"));
    }
}
