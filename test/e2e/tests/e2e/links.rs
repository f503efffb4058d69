//! Linux's file semantics on each version of WASI: absolute symlinks resolve within the container, and writing to a
//! read-only mount fails with EROFS.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::runner::Scenario;

use crate::data::shared_dir;

/// A guest's calls and their outcomes. `/vol` is writable; `/ro` is the same directory, mounted read-only.
const CALLS: [(&str, Outcome); 16] = [
    ("read=/vol/abs/note", Says("from the host")),
    ("write=/vol/abs/new", Says("ok")),
    ("length=/vol/abs/new", Says("4")),
    ("mv=/vol/abs/new=/vol/moved", Says("ok")),
    ("ln=/vol/moved=/vol/abs/linked", Says("ok")),
    ("target=/vol/abs", Says("/vol/real")),
    ("mkdir=/vol/abs/sub", Says("ok")),
    ("rmdir=/vol/abs/sub", Says("ok")),
    ("rm=/vol/abs/linked", Says("ok")),
    ("read=/vol/loop", Loop),
    ("read=/vol/abs/none", NoEntry),
    ("write=/ro/real/new", ReadOnly),
    ("write=/vol/sealed/new", ReadOnly),
    ("mkdir=/ro/sub", ReadOnly),
    ("rm=/ro/real/note", ReadOnly),
    ("mv=/ro/real/note=/ro/real/new", ReadOnly),
];

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Says(&'static str),
    Loop,
    NoEntry,
    ReadOnly,
}
use Outcome::{Loop, NoEntry, ReadOnly, Says};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-links-p1", |daemon| links(daemon, "links1", &["/guests/files-p1.wasm"], number)),
        Scenario::ours("wasm-links-p2", |daemon| links(daemon, "links2", &["/guests/files-p2.wasm"], number)),
        Scenario::ours("wasm-p3-links", |daemon| {
            links(daemon, "links3", &["/guests/command-p3.wasm", "files"], name)
        }),
    ]
}

/// As WASI error numbers, which Rust programs print.
fn number(outcome: Outcome) -> String {
    match outcome {
        Says(text) => text.into(),
        Loop => "error 32".into(),
        NoEntry => "error 44".into(),
        ReadOnly => "error 69".into(),
    }
}

/// As WASI 0.3's error codes.
fn name(outcome: Outcome) -> String {
    match outcome {
        Says(text) => text.into(),
        other => format!("error ErrorCode::{other:?}"),
    }
}

fn links(daemon: &Containerd, id: &str, guest: &[&str], expected: fn(Outcome) -> String) -> Result<()> {
    let dir = shared_dir(daemon, id)?;
    fs::create_dir(dir.join("real"))?;
    fs::write(dir.join("real/note"), "from the host\n")?;
    for (link, target) in [("abs", "/vol/real"), ("loop", "/vol/loop"), ("sealed", "/ro/real")] {
        symlink(target, dir.join(link))?;
    }
    let args = [guest, &CALLS.map(|(call, _)| call)].concat();
    let run = daemon.run(id).args(&args).bind(&dir, "/vol", true).bind(&dir, "/ro", false);
    let stdout = run.finish()?.ok()?.stdout;
    for ((call, outcome), line) in CALLS.iter().zip(stdout.lines()) {
        let expected = format!("{call}: {}", expected(*outcome));
        ensure!(line == expected, "{line:?}, not {expected:?}, in {stdout}");
    }
    ensure!(stdout.lines().count() == CALLS.len(), "{stdout}");
    ensure!(fs::read_to_string(dir.join("moved"))? == "text", "the host sees other content");
    Ok(())
}
