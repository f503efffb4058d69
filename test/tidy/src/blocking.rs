//! The daemon's first thread serves all containers of its pod, so blocking work runs on other threads.

use crate::finding;
use crate::tokens::{self, Token};
use crate::tree::File;

/// Calls that read or write a cgroup's files, which may block.
const CGROUP_WORK: [&[&str]; 17] = [
    &["CgroupDirs", ":", ":", "at"],
    &["Cgroup", ":", ":", "of"],
    &["OomNotice", ":", ":", "of"],
    &["dirs_of", "("],
    &["move_self", "("],
    &["warm_up", "("],
    &[".", "admit", "("],
    &[".", "check_free", "("],
    &[".", "entry", "(", ")"],
    &[".", "exists", "("],
    &[".", "freeze", "("],
    &[".", "keyed", "("],
    &[".", "kill_all", "("],
    &[".", "limit", "("],
    &[".", "number", "("],
    &[".", "oom_kills", "("],
    &[".", "pids", "("],
];
/// Functions that run a closure on another thread.
const OTHER_THREAD: [&str; 3] = ["blocking", "detached", "spawn_blocking"];

/// No asynchronous function of the shim works on a cgroup itself.
pub fn is_cgroup_work(files: &[File]) -> Vec<String> {
    let shim = files.iter().filter(|file| file.is_rust_in("crates/shim/src/"));
    let found = shim.flat_map(|file| {
        let calls = on_the_first_thread(&tokens::of(file.text()));
        calls.into_iter().map(|(line, call)| {
            finding(&file.path, line, format!("`{call}` may block: call it in `blocking(move || …)`"))
        })
    });
    found.collect()
}

/// The calls in bodies of `async`, except those in arguments of [`OTHER_THREAD`].
fn on_the_first_thread(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut bodies: Vec<usize> = Vec::new();
    // Of brackets of each kind: a `;` in an array's type ends no declaration.
    let (mut depth, mut at) = (0, 0);
    let mut declared_at = None;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).map(|next| next.word.as_str());
        match token.word.as_str() {
            "async" => declared_at = Some(depth),
            ";" if declared_at == Some(depth) => declared_at = None,
            "(" | "[" => depth += 1,
            "{" => {
                depth += 1;
                if declared_at.take().is_some() {
                    bodies.push(depth);
                }
            }
            ")" | "]" | "}" => {
                bodies.pop_if(|body| *body == depth);
                depth -= 1;
            }
            word if OTHER_THREAD.contains(&word) && next == Some("(") => at = closing(tokens, at + 1),
            _ if !bodies.is_empty() => {
                let rest = tokens[at..].iter().map(|token| token.word.as_str());
                let call =
                    CGROUP_WORK.iter().find(|call| rest.clone().take(call.len()).eq(call.iter().copied()));
                found.extend(call.map(|call| (token.line, call.concat())));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Where the parenthesis that opens at `open` closes.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_on_the_first_thread_are_found() {
        let check = |source: &str, expected: &[&str]| {
            let found = is_cgroup_work(&[File::new("crates/shim/src/a.rs", source)]);
            let at = |call: &&str| {
                format!("crates/shim/src/a.rs:1: `{call}` may block: call it in `blocking(move || …)`")
            };
            assert_eq!(found, expected.iter().map(at).collect::<Vec<_>>(), "{source}");
        };
        check("async fn a() { cgroup.pids() }", &[".pids("]);
        check("async fn a() { if b { Cgroup::of(w)?.freeze(true) } }", &["Cgroup::of", ".freeze("]);
        check(
            "async fn a() { blocking(move || { cgroup.pids() }).await; cgroup.freeze(true) }",
            &[".freeze("],
        );
        check("fn a() { tokio::spawn(async move { cgroup.pids() }); cgroup.pids() }", &[".pids("]);
        check("async fn a() { blocking(move || cgroup.pids()).await } fn b() { cgroup.pids() }", &[]);
        check("trait A { async fn a(); } fn b() { cgroup.pids() }", &[]);
        check("async fn a(b: [u8; 2]) { cgroup.pids() }", &[".pids("]);
    }
}
