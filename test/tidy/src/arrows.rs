//! The allowed imports between crates. Anything absent is forbidden.

use crate::finding;
use crate::metadata::{Need, Package};
use crate::tokens;
use crate::tree::File;

/// Importer → imported. A name that ends in `*` is a prefix.
const ARROWS: [(&str, &[&str]); 19] = [
    ("workload", &[]),
    ("cache", &[]),
    ("worlds", &["engine", "workload", "network", "client", "server"]),
    ("engine", &["workload"]),
    ("image", &["workload"]),
    ("container", &["workload"]),
    ("network", &["workload"]),
    ("server", &["workload"]),
    ("client", &["network"]),
    ("engine-*", &["engine", "workload", "worlds", "network", "client", "server"]),
    ("shim", &["workload", "engine", "image", "cache", "container", "engine-*"]),
    ("cli", &["workload", "image"]),
    ("conformance", &["engine", "workload"]),
    ("daprd", &[]),
    ("e2e", &["conformance"]),
    ("bench", &["conformance", "e2e"]),
    ("fuzz", &["workload", "engine", "engine-*", "container", "network", "server", "worlds", "shim"]),
    ("tidy", &[]),
    // WasmEdge's build script needs a crate of that name: see crates/engine-wasmedge/no-download.
    ("reqwest", &[]),
];
/// What a crate's tests may import in addition.
const FOR_TESTS: [(&str, &[&str]); 1] = [("engine-*", &["conformance"])];
/// Outside packages that only one of our crates may import.
const OWNED: [(&str, &str); 9] = [
    ("libcontainer", "container"),
    ("libcgroups", "container"),
    ("wasmtime*", "engine-*"),
    ("cranelift*", "engine-*"),
    ("wasmedge*", "engine-*"),
    ("wasmparser", "workload"),
    ("containerd-client", "image"),
    ("hickory*", "network"),
    ("k8s-cri", "e2e"),
];

/// Every import between our crates is in the table.
pub fn are_drawn(packages: &[Package], files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| fits(name, &package.name)) else {
            found.push(finding(
                &package.manifest,
                1,
                format!("{} is not in the picture of test/tidy", package.name),
            ));
            continue;
        };
        for need in package.needs.iter().filter(|need| need.in_tree) {
            let besides = FOR_TESTS.iter().filter(|(name, _)| need.for_tests && fits(name, &package.name));
            let mut allowed = allowed.iter().chain(besides.flat_map(|(_, names)| *names));
            if !allowed.any(|name| fits(name, &need.name)) {
                found.push(at(
                    package,
                    need,
                    files,
                    format!("{} must not import {}", package.name, need.name),
                ));
            }
        }
    }
    found
}

/// An outside package that has an owner is imported by no other crate.
pub fn owners_are_alone(packages: &[Package], files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        for need in &package.needs {
            let owned = OWNED.iter().find(|(name, _)| fits(name, &need.name));
            if let Some((_, owner)) = owned.filter(|(_, owner)| !fits(owner, &package.name)) {
                found.push(at(package, need, files, format!("only {owner} may import {}", need.name)));
            }
        }
    }
    found
}

/// The shim takes each engine behind a feature, and names it in one file.
pub fn engines_are_named_in_one_file(packages: &[Package], files: &[File]) -> Vec<String> {
    const ENGINES: &str = "crates/shim/src/engines.rs";
    let mut found = Vec::new();
    let shim = packages.iter().filter(|package| package.name == "shim");
    for (package, need) in shim.flat_map(|shim| shim.needs.iter().map(move |need| (shim, need))) {
        if !fits("engine-*", &need.name) {
            continue;
        }
        if !need.optional {
            found.push(at(package, need, files, format!("{} must be behind a feature", need.name)));
        }
        let word = need.name.replace('-', "_");
        for file in files.iter().filter(|file| file.is_rust_in("crates/shim/") && file.path != ENGINES) {
            let lines = tokens::lines_of(&tokens::of(file.text()), &[&word]);
            found.extend(
                lines.iter().map(|line| finding(&file.path, *line, format!("only {ENGINES} names {word}"))),
            );
        }
    }
    found
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The finding at the dependency's line in the manifest.
fn at(package: &Package, need: &Need, files: &[File], sentence: String) -> String {
    let manifest = files.iter().find(|file| file.path == package.manifest).map_or("", File::text);
    let line = manifest
        .lines()
        .position(|line| line.strip_prefix(&need.name).is_some_and(|rest| rest.starts_with(['.', ' ', '='])));
    finding(&package.manifest, line.unwrap_or_default() + 1, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, need: Need) -> [Package; 1] {
        [Package { name: name.into(), manifest: format!("crates/{name}/Cargo.toml"), needs: vec![need] }]
    }

    fn ours(name: &str) -> Need {
        Need { name: name.into(), in_tree: true, optional: true, ..Need::default() }
    }

    fn check(name: &str, need: Need, expected: &[&str]) {
        let (packages, files) =
            (package(name, need), [File::new("crates/shim/src/main.rs", "use engine_wasmtime as e;\n")]);
        let mut found = are_drawn(&packages, &files);
        found.extend(owners_are_alone(&packages, &files));
        found.extend(engines_are_named_in_one_file(&packages, &files));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn what_is_absent_is_forbidden() {
        check("engine", ours("workload"), &[]);
        check("workload", ours("engine"), &["crates/workload/Cargo.toml:1: workload must not import engine"]);
        check("engine-wasmtime", Need { for_tests: true, ..ours("conformance") }, &[]);
        check(
            "engine-wasmtime",
            ours("conformance"),
            &["crates/engine-wasmtime/Cargo.toml:1: engine-wasmtime must not import conformance"],
        );
        check(
            "cache",
            Need { for_tests: true, ..ours("conformance") },
            &["crates/cache/Cargo.toml:1: cache must not import conformance"],
        );
        check(
            "extra",
            ours("workload"),
            &["crates/extra/Cargo.toml:1: extra is not in the picture of test/tidy"],
        );
    }

    #[test]
    fn owners_and_the_door_are_kept() {
        let outside = |name: &str| Need { name: name.into(), ..Need::default() };
        check("engine-wasmtime", outside("wasmtime-wasi"), &[]);
        check("cli", outside("wasmtime"), &["crates/cli/Cargo.toml:1: only engine-* may import wasmtime"]);
        check(
            "shim",
            Need { optional: false, ..ours("engine-wasmtime") },
            &[
                "crates/shim/Cargo.toml:1: engine-wasmtime must be behind a feature",
                "crates/shim/src/main.rs:1: only crates/shim/src/engines.rs names engine_wasmtime",
            ],
        );
    }
}
