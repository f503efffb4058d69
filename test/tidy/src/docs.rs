//! What the pages promise: every link resolves, a test runs every command, and every setting is in the one table of
//! `crates/docs/settings.md`.

use crate::finding;
use crate::tree::File;

const SETTINGS: &str = "crates/docs/settings.md";
const CONTAINERS: &str = "crates/workload/src/";
const OPTIONS: &str = "crates/workload/src/options.rs";

/// What runs a command of the pages.
enum By {
    /// This text in this file: a scenario's name, a step of CI, or part of such a step.
    Test(&'static str, &'static str),
    /// No test, for this reason.
    NoTest(&'static str),
}

/// The prefixes of commands, and what runs each.
const RUN: [(&str, By); 16] = [
    ("ctr run ", By::Test("test/e2e/tests/e2e/docs.rs", "docs-ctr")),
    ("docker run ", By::Test("test/e2e/tests/e2e/docs.rs", "docker-docs")),
    ("nerdctl run ", By::NoTest("Debian does not package it; it sends containerd the same requests as ctr")),
    ("make build ", By::Test(".ci/run", "make build")),
    ("make check ", By::Test(".ci/run", "make check")),
    ("make demo ", By::Test(".ci/run", "make demo")),
    ("make install ", By::Test(".ci/run", "make install")),
    ("make test-wasmedge ", By::Test(".ci/run", "make test-wasmedge")),
    ("make wasmedge ", By::Test(".ci/run", "make wasmedge")),
    ("make test-vm ", By::Test(".ci/run", "make test-vm")),
    ("make test ", By::Test("Makefile", "test: test-inner test-e2e")),
    ("cargo test --release --workspace ", By::Test("scripts/test.sh", "cargo test --release --workspace")),
    ("scripts/vm.sh ", By::Test("Makefile", "scripts/vm.sh")),
    ("make bench ", By::NoTest("it measures, on a machine that does nothing else")),
    ("make audit ", By::NoTest("the database of known faults comes from the network")),
    ("make fuzz ", By::NoTest("it takes as long as it is given; the tests replay what it found")),
];

/// Every relative link of every page leads to a file or a directory, and to a heading where it names one.
pub fn links_resolve(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for page in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, text) in prose(page) {
            for link in links(text).filter(|link| !link.contains("://")) {
                if !resolves(files, page, link) {
                    found.push(finding(&page.path, number, format!("the link {link} leads nowhere")));
                }
            }
        }
    }
    found
}

/// Every command of the pages for users is run by a test, or listed with the reason why none does.
pub fn commands_are_run(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for page in files.iter().filter(|file| is_for_users(&file.path)) {
        for (number, command) in commands(page) {
            let Some((_, by)) = RUN.iter().find(|(start, _)| format!("{command} ").starts_with(start)) else {
                found.push(finding(&page.path, number, format!("no test is known to run {command:?}")));
                continue;
            };
            let gone = match by {
                By::Test(path, text) => !text_of(files, path).contains(text),
                By::NoTest(why) => why.is_empty(),
            };
            if gone {
                found.push(finding(&page.path, number, format!("what ran {command:?} is gone")));
            }
        }
    }
    found
}

/// Every setting that the sources read is a row of the table, and every row is such a setting.
pub fn settings_are_listed(files: &[File]) -> Vec<String> {
    let table = text_of(files, SETTINGS);
    let rows: Vec<_> =
        table.lines().enumerate().filter_map(|(line, text)| Some((line + 1, row(text)?))).collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust_in(CONTAINERS)) {
        for (number, name) in asked(file) {
            if !rows.iter().any(|(_, names)| names.contains(&name)) {
                found.push(finding(&file.path, number, format!("{SETTINGS} does not list {name}")));
            }
        }
    }
    let sources: Vec<&str> = files.iter().filter(|file| file.is_rust_in("crates/")).map(File::text).collect();
    let asks = |name: &str| {
        let (word, annotation) = (format!("\"{name}\""), format!("\"lighter.wasm/{name}\""));
        sources.iter().any(|text| text.contains(&word) || text.contains(&annotation))
    };
    for (number, name) in rows.iter().flat_map(|(number, names)| names.iter().map(move |name| (number, name)))
    {
        if !asks(name) {
            found.push(finding(SETTINGS, *number, format!("no source asks for {name}")));
        }
    }
    found
}

fn is_for_users(path: &str) -> bool {
    path == "README.md"
        || path == "test/README.md"
        || path.starts_with("crates/docs/") && path.ends_with(".md")
}

fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map_or("", File::text)
}

/// The lines outside of code blocks, numbered from 1.
fn prose(page: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    page.text().lines().enumerate().filter_map(move |(number, text)| {
        let fence = text.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((number + 1, text))
    })
}

/// The targets of the links in `text`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

fn resolves(files: &[File], page: &File, link: &str) -> bool {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let mut parts: Vec<&str> = page.path.split('/').collect();
    if !path.is_empty() {
        parts.pop();
        for part in path.split('/').filter(|part| !["", "."].contains(part)) {
            let above = part == "..";
            if above && parts.pop().is_none() {
                return false;
            }
            if !above {
                parts.push(part);
            }
        }
    }
    let target = parts.join("/");
    match heading {
        None => files.iter().any(|file| file.path == target || file.path.starts_with(&format!("{target}/"))),
        Some(heading) => {
            let file = files.iter().find(|file| file.path == target);
            file.is_some_and(|file| prose(file).any(|(_, text)| anchor(text).as_deref() == Some(heading)))
        }
    }
}

/// A heading's anchor: lower case, without punctuation, spaces as hyphens.
fn anchor(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
    let kept = |sign: &char| sign.is_alphanumeric() || [' ', '-', '_'].contains(sign);
    let letters = heading.trim().chars().filter(kept).flat_map(char::to_lowercase);
    Some(letters.map(|sign| if sign == ' ' { '-' } else { sign }).collect())
}

/// The commands of the `sh` code blocks, without `sudo` and comments.
fn commands(page: &File) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut typed = false;
    for (number, line) in page.text().lines().enumerate() {
        if line.starts_with("```") {
            typed = line == "```sh";
            continue;
        }
        let line = line.split(" # ").next().unwrap_or_default();
        let parts = line.split(" && ").map(|part| part.trim().trim_start_matches("sudo "));
        found.extend(parts.filter(|part| typed && !part.is_empty()).map(|part| (number + 1, part)));
    }
    found
}

/// The names in a row of the table of settings, the only table with five columns.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix('|')?.split('|').collect();
    (cells.len() == 5)
        .then(|| cells[0].split('`').step_by(2).filter(|name| !name.trim().is_empty()).collect())
}

/// The names of settings that a source reads outside of its tests: keys of options, annotations and variables.
fn asked(file: &File) -> Vec<(usize, &str)> {
    let code = file.text().split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for (number, line) in lines {
        let texts = line.split('"').skip(1).step_by(2);
        let key = |text: &&str| {
            let small =
                |text: &str| text.bytes().all(|sign| sign.is_ascii_lowercase() || b".-".contains(&sign));
            let option = file.path == OPTIONS && line.trim() == format!("\"{text}\",");
            option || text.starts_with("http.") && small(text) || line.contains(&format!(".get(\"{text}\")"))
        };
        let texts =
            texts.map(|text| text.strip_prefix("lighter.wasm/").map_or((text, false), |name| (name, true)));
        let names = texts.filter(|(text, annotated)| {
            let whole = !text.is_empty() && !text.contains(['{', ' ']);
            whole && (*annotated || key(text))
        });
        found.extend(names.map(|(text, _)| (number + 1, text)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let check = |link: &str, resolves: bool| {
            let page = File::new(
                "crates/docs/a.md",
                &format!("# One's `b` head\n[b]({link})\n```\n[c](none)\n```\n"),
            );
            let found = links_resolve(&[page, File::new("crates/b/c.md", "# C\n")]);
            let expected = format!("crates/docs/a.md:2: the link {link} leads nowhere");
            assert_eq!(found, if resolves { vec![] } else { vec![expected] });
        };
        for link in
            ["a.md", "#ones-b-head", "../b/c.md", "../b/c.md#c", "../b", "../b/", "https://a.example/b"]
        {
            check(link, true);
        }
        for link in ["b.md", "#one", "../b/c.md#d", "../../../b", "/b/c.md", ""] {
            check(link, link.is_empty());
        }
    }

    #[test]
    fn a_command_that_no_test_runs_is_found() {
        let shown = |line: &str, ci: &str| {
            let page = File::new("README.md", &format!("```\nrm x\n```\n```sh\n{line}\n```\n"));
            commands_are_run(&[page, File::new(".ci/run", ci), File::new("Makefile", "x")])
        };
        assert_eq!(
            shown("make build && sudo make install   # a word", "make build\nmake install D=x\n"),
            [""; 0]
        );
        assert_eq!(shown("sudo nerdctl run x", ""), [""; 0]);
        assert_eq!(shown("make demo", ""), ["README.md:5: what ran \"make demo\" is gone"]);
        assert_eq!(shown("make builder", ""), ["README.md:5: no test is known to run \"make builder\""]);
    }

    #[test]
    fn a_setting_that_is_not_listed_is_found() {
        let table = |rows: &str| File::new(SETTINGS, rows);
        let source = "const A: &str = \"lighter.wasm/a\";\nfn f() { w.get(\"b\"); g(\"http.c\", \"d\") }\n\
                      #[cfg(test)]\nfn g() { w.get(\"e\") }\n";
        let source = File::new("crates/workload/src/x.rs", source);
        let options = File::new(OPTIONS, "const KEYS: [&str; 1] = [\n    \"Key\",\n];\n");
        let whole = "| `a` | A | 1 | | 3 |\n| `b`, `http.c` | A | 1 | 2 | 3 |\n| `Key` | O | 1 | 2 | 3 |\n| `not` | one |\n";
        assert_eq!(settings_are_listed(&[table(whole), source.clone(), options.clone()]), [""; 0]);
        let found = settings_are_listed(&[
            table("| `a` | A | 1 | 2 | 3 |\n| `z` | A | 1 | 2 | 3 |\n"),
            source,
            options,
        ]);
        assert_eq!(
            found,
            [
                "crates/workload/src/x.rs:2: crates/docs/settings.md does not list b",
                "crates/workload/src/x.rs:2: crates/docs/settings.md does not list http.c",
                "crates/workload/src/options.rs:2: crates/docs/settings.md does not list Key",
                "crates/docs/settings.md:2: no source asks for z",
            ]
        );
    }
}
