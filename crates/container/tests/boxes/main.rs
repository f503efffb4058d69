//! The box ring: boxes built from specs, and what the kernel shows of them. Needs root, but neither containerd nor an
//! engine: the process that would become a guest waits in its box and, on request, tries what a guest may not do.
//!
//! ```text
//! cargo test --release --workspace --test boxes               all of them
//! cargo test --release --workspace --test boxes -- cgroup     names with `cgroup`; --exact and --list as elsewhere
//! ```
//!
//! A case is data: a spec, and what is expected of it ([`case`], `cases/`). [`birth`] creates a guest's process in
//! the shim's order, [`guest`] is what that process does in the box, [`look`] queries the kernel. Each case has a
//! process, a mount namespace and a cgroup of its own ([`apart`]) and leaves nothing behind. Every process here has
//! one thread, since it forks: so there is no libtest.

mod apart;
mod birth;
mod bundle;
mod case;
mod cases;
mod guest;
mod look;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use case::Case;

fn main() -> ExitCode {
    match run(&mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("boxes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases that the words after `--` select, all without any. Returns whether all passed.
fn run(out: &mut impl Write) -> Result<bool> {
    let (options, words): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|word| word.starts_with('-'));
    let asked = |option: &str| options.iter().any(|given| given == option);
    let named = |case: &&Case, word: &String| match asked("--exact") {
        true => case.name == word,
        false => case.name.contains(word.as_str()),
    };
    let chosen: Vec<_> =
        cases::all().filter(|case| words.is_empty() || words.iter().any(|word| named(case, word))).collect();
    if asked("--list") {
        chosen.iter().try_for_each(|case| writeln!(out, "{}: test", case.name))?;
        return Ok(true);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("boxes are built by root: run these tests as root");
    }
    let begun = Instant::now();
    let mut failed = Vec::new();
    for case in &chosen {
        let outcome = case::check(case);
        writeln!(out, "test {} ... {}", case.name, if outcome.is_ok() { "ok" } else { "FAILED" })?;
        failed.extend(outcome.err().map(|why| (case.name, why)));
    }
    for (name, why) in &failed {
        writeln!(out, "\n---- {name} ----\n{why:#}")?;
    }
    let (verdict, passed) = (if failed.is_empty() { "ok" } else { "FAILED" }, chosen.len() - failed.len());
    let took = begun.elapsed().as_secs_f32();
    writeln!(
        out,
        "\ntest result: {verdict}. {passed} passed; {} failed; finished in {took:.2}s\n",
        failed.len()
    )?;
    Ok(failed.is_empty())
}
