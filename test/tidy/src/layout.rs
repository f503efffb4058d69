//! Where files belong: the names at the top, and a source beside every built guest.

use crate::finding;
use crate::tree::File;

const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "Makefile",
    "deny.toml",
    "crates",
    "findings",
    "test",
    "scripts",
];

/// The top holds the entries of `TOP`, dot-files (they configure tools) and cargo's `target`, nothing else.
pub fn top_is_bare(names: &[String]) -> Vec<String> {
    let known = |name: &&String| TOP.contains(&name.as_str()) || name.starts_with('.') || *name == "target";
    names
        .iter()
        .filter(|name| !known(name))
        .map(|name| finding(name, 1, "does not belong at the top"))
        .collect()
}

/// Every `.wasm` is test/guests/NAME/NAME.wasm beside its sources, in test/guests/opa beside its policy,
/// test/examples/NAME/app.wasm, or among the conformance cases beside its `.wat`.
pub fn wasm_has_sources(files: &[File]) -> Vec<String> {
    let there = |path: &String| files.iter().any(|file| file.path == *path);
    let mut found = Vec::new();
    for path in files.iter().map(|file| &file.path).filter(|path| path.ends_with(".wasm")) {
        let missing = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["test", kind, name, wasm]
                if (*kind == "guests" && wasm.strip_suffix(".wasm") == Some(name))
                    || (*kind == "examples" && *wasm == "app.wasm") =>
            {
                let below = |file: &str| format!("test/{kind}/{name}/{file}");
                let sources = [below("src/main.rs"), below("src/lib.rs")];
                let beside = [below("Cargo.toml"), below("Cargo.lock")];
                let mut missing: Vec<String> = beside.into_iter().filter(|path| !there(path)).collect();
                missing.extend((!sources.iter().any(there)).then(|| sources.join(" or ")));
                missing
            }
            ["crates", "engine", "conformance", "cases", _] => {
                [path.replace(".wasm", ".wat")].into_iter().filter(|path| !there(path)).collect()
            }
            ["test", "guests", "opa", _] => {
                [path.replace(".wasm", ".rego")].into_iter().filter(|path| !there(path)).collect()
            }
            _ => {
                found.push(finding(
                    path,
                    1,
                    "a .wasm lies in test/guests/NAME as NAME.wasm, in test/guests/opa, in test/examples/NAME as \
                     app.wasm, or in crates/engine/conformance/cases",
                ));
                continue;
            }
        };
        found.extend(missing.iter().map(|file| finding(path, 1, format!("no {file} to build it from"))));
    }
    found
}

/// Every integration test is named by one of the scripts that run tests.
pub fn tests_are_run(files: &[File]) -> Vec<String> {
    let scripts = files.iter().filter(|file| file.path.starts_with("scripts/test"));
    let text: String = scripts.map(File::text).collect();
    let named: Vec<&str> = text.split_whitespace().collect();
    let mut found = Vec::new();
    for path in files.iter().map(|file| &file.path) {
        let name = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["crates" | "test", .., "tests", file] => file.strip_suffix(".rs"),
            ["crates" | "test", .., "tests", name, "main.rs"] => Some(*name),
            _ => None,
        };
        if let Some(name) = name.filter(|name| !named.windows(2).any(|pair| pair == ["--test", name])) {
            found.push(finding(path, 1, format!("no script runs it: --test {name}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_no_script_runs_is_found() {
        let found = tests_are_run(&[
            File::new("scripts/test.sh", "cargo test --test a \\\n  --test b\n"),
            File::new("crates/x/tests/a.rs", ""),
            File::new("crates/x/tests/b/main.rs", ""),
            File::new("crates/x/tests/b/more.rs", ""),
            File::new("test/x/tests/c.rs", ""),
            File::new("crates/x/src/tests.rs", ""),
        ]);
        assert_eq!(found, ["test/x/tests/c.rs:1: no script runs it: --test c"]);
    }

    fn check(paths: &[&str], expected: &[&str]) {
        let files: Vec<File> = paths.iter().map(|path| File::new(path, "")).collect();
        assert_eq!(wasm_has_sources(&files), expected, "{paths:?}");
    }

    #[test]
    fn a_guest_without_sources_is_found() {
        check(&["crates/engine/conformance/cases/a.wasm", "crates/engine/conformance/cases/a.wat"], &[]);
        check(
            &["crates/engine/conformance/cases/a.wasm"],
            &[
                "crates/engine/conformance/cases/a.wasm:1: no crates/engine/conformance/cases/a.wat to build it from",
            ],
        );
        let whole = [
            "test/guests/a/a.wasm",
            "test/guests/a/Cargo.toml",
            "test/guests/a/Cargo.lock",
            "test/guests/a/src/lib.rs",
        ];
        check(&whole, &[]);
        let bare = "test/guests/a/a.wasm:1: no test/guests/a/src/main.rs or test/guests/a/src/lib.rs to build it from";
        check(&whole[..3], &[bare]);
        check(&["test/guests/opa/a.wasm", "test/guests/opa/a.rego"], &[]);
        check(
            &["test/guests/opa/a.wasm"],
            &["test/guests/opa/a.wasm:1: no test/guests/opa/a.rego to build it from"],
        );
        let app = ["app.wasm", "Cargo.toml", "Cargo.lock", "src/lib.rs"]
            .map(|file| format!("test/examples/a/{file}"));
        check(&app.each_ref().map(String::as_str), &[]);
        check(
            &["crates/a.wasm"],
            &["crates/a.wasm:1: a .wasm lies in test/guests/NAME as NAME.wasm, in test/guests/opa, in \
                 test/examples/NAME as app.wasm, or in crates/engine/conformance/cases"],
        );
    }

    #[test]
    fn a_stranger_at_the_top_is_found() {
        let top = ["Makefile", ".ci", "target", "notes.txt"].map(String::from);
        assert_eq!(top_is_bare(&top), ["notes.txt:1: does not belong at the top"]);
    }
}
