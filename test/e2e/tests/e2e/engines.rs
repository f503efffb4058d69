//! How a guest's engine is chosen, and the errors when that choice is not possible.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::{Containerd, PLUGINS};
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::output::Output;
use e2e::process::run;
use e2e::runner::Scenario;

use crate::{data, options};

const ANNOTATION: &str = "lighter.wasm/engine";
const CRUN: &str = "run.oci.handler";
/// An engine that does not exist.
const NONE: &str = "abacus";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("engine-annotation", annotation),
        Scenario::ours("engine-variable", variable),
        Scenario::ours("engine-of-crun", crun_says),
        Scenario::ours("engine-option", option),
        Scenario::ours("engine-of-the-name", of_the_name),
        Scenario::ours("engine-plugins", plugins),
    ]
}

/// Checks that it was refused for what `source` says, with the reason `why`.
fn refused(output: Output, source: &str, why: &str) -> Result<()> {
    ensure!(output.code != 0, "it ran");
    output.complains(&format!("{source} says"))?.complains(why).map(drop)
}

fn annotation(daemon: &Containerd) -> Result<()> {
    let hello = || daemon.run("chosen").args(Guest::Wasm.hello());
    hello().annotation(ANNOTATION, "wasmtime").finish()?.ok()?.prints("hello")?;
    hello().annotation(ANNOTATION, "wasm").finish()?.ok()?.prints("hello")?;
    let source = format!("the annotation {ANNOTATION}");
    refused(hello().annotation(ANNOTATION, NONE).finish()?, &source, "no such engine built in (wasmtime")?;
    // The error names the engines that could run it.
    refused(hello().annotation(ANNOTATION, NONE).finish()?, &source, "); wasmtime")
}

fn variable(daemon: &Containerd) -> Result<()> {
    let chosen = |engine: &str| {
        daemon.run("chosen").args(Guest::Wasm.hello()).env(&format!("LIGHTER_ENGINE={engine}"))
    };
    chosen("wasmtime").finish()?.ok()?.prints("hello")?;
    refused(chosen(NONE).finish()?, "the variable LIGHTER_ENGINE", "no such engine")
}

/// crun's annotation; ours has precedence.
fn crun_says(daemon: &Containerd) -> Result<()> {
    let chosen = |engine: &str| daemon.run("chosen").args(Guest::Wasm.hello()).annotation(CRUN, engine);
    chosen("wasmtime").finish()?.ok()?.prints("hello")?;
    chosen("wasm").finish()?.ok()?.prints("hello")?;
    chosen(NONE).annotation(ANNOTATION, "wasmtime").finish()?.ok()?.prints("hello")?;
    refused(chosen(NONE).finish()?, &format!("the annotation {CRUN}"), "no such engine")
}

/// The runtime's option; the container's annotation has precedence.
fn option(daemon: &Containerd) -> Result<()> {
    let chosen = || options::with(daemon, "chosen", &format!("Engine = '{NONE}'\n"));
    let hello = Guest::Wasm.hello();
    chosen()?.args(hello).annotation(ANNOTATION, "wasmtime").finish()?.ok()?.prints("hello")?;
    refused(chosen()?.args(hello).finish()?, "the option Engine", "no such engine")
}

/// The runtime's name selects the preferred engine; a daemon with several runs the one that the container chooses.
fn of_the_name(daemon: &Containerd) -> Result<()> {
    let component = || daemon.run("chosen").args(&["/cases/component-exit.wasm"]);
    if daemon.shim.engine() == "wasmtime" {
        let output =
            daemon.run("chosen").args(Guest::Wasm.hello()).annotation(ANNOTATION, "wasmedge").finish()?;
        return refused(
            output,
            &format!("the annotation {ANNOTATION}"),
            "no such engine built in (wasmtime)",
        );
    }
    let name = format!("the runtime's name {}", daemon.shim.program());
    refused(component().finish()?, &name, "which runs core modules only; wasmtime could")?;
    let chosen = component().annotation(ANNOTATION, "wasmedge").finish()?;
    refused(chosen, &format!("the annotation {ANNOTATION}"), "which runs core modules only; wasmtime could")?;
    component().annotation(ANNOTATION, "wasmtime").finish()?.exits(255).map(drop)
}

/// WasmEdge's plug-ins are available only where the option allows them.
fn plugins(daemon: &Containerd) -> Result<()> {
    const ASKS: &str = r#"(module
        (import "answers" "answer" (func $answer (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (call $answer))))"#;
    let dir = data::shared_dir(daemon, "asks")?;
    fs::write(dir.join("asks.wat"), ASKS)?;
    let asks = |run: Run<'_>| run.bind(&dir, "/asks", false).args(&["/asks/asks.wat"]).finish();
    let allowed = || options::with(daemon, "asks", "WasmedgePlugins = true\n");
    if daemon.shim.engine() != "wasmedge" {
        return asks(allowed()?)?.complains("offers no answers::answer").map(drop);
    }
    let library = daemon.scope.dir.join(PLUGINS).join("libanswer.so");
    let include = env::var("WASMEDGE_INCLUDE_DIR")
        .context("WASMEDGE_INCLUDE_DIR is not set; see make test-wasmedge")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guests/answer.c");
    let mut cc = Command::new("cc");
    run(cc.args(["-shared", "-fPIC", "-I", &include, "-o"]).arg(&library).arg(source))?.ok()?;
    let done = || {
        asks(daemon.run("asks"))?.complains("offers no answers::answer")?;
        asks(allowed()?)?.exits(42).map(drop)
    };
    let done = done();
    fs::remove_file(&library)?;
    done
}
