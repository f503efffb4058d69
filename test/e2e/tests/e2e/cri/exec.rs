//! Execs in a running container, and its standard streams: ExecSync, Exec, Attach.

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::cri::container::Container;
use e2e::cri::pod::Pod;
use e2e::cri::stream::Stream;
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::runner::Scenario;

use super::both;

/// Prints "heard" and each line; exits with 5 after "end", with 6 at EOF.
const ECHO: &str = "while read line; do echo heard $line; [ \"$line\" = end ] && exit 5; done; exit 6";
/// Executes each line that is typed on its terminal, and survives Ctrl-C.
const OBEY: &str = "trap : INT; while read -r line; do eval \"$line\"; done";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::from(both("exec-sync", exec_sync));
    scenarios.push(cri::any("cri-native-exec", exec));
    scenarios.push(cri::any("cri-native-exec-tty", exec_tty));
    scenarios.push(cri::any("cri-native-attach", attach));
    scenarios.extend(both("stdin-once", stdin_once));
    scenarios.push(cri::any("cri-native-attach-tty", attach_tty));
    scenarios.push(cri::ours("cri-wasm-exec", exec_wasm));
    scenarios.push(cri::ours("cri-wasm-attach", attach_wasm));
    scenarios
}

fn running<'a>(pod: &'a Pod<'a>, guest: Guest) -> Result<Container<'a>> {
    pod.container("ready").ready(guest)
}

/// As exec probes use it: the output, the exit code, and the kill on timeout.
fn exec_sync(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let pod = cri.pod("probed").run()?;
    let container = running(&pod, guest)?;
    container.exec(guest.hello(), 10)?.ok()?.prints("hello")?;
    if guest == Guest::Native {
        let script = "echo out; echo err >&2; exit 3";
        container.exec(&["/bin/sh", "-c", script], 10)?.exits(3)?.prints("out")?.complains("err")?;
        let much = container.exec(&["/bin/busybox", "seq", "1", "50000"], 10)?.ok()?;
        ensure!(much.stdout.ends_with("\n50000\n"), "only {} bytes of the output arrived", much.stdout.len());
    }
    let none = container.exec(&["/bin/none"], 10);
    ensure!(none.as_ref().map_or(true, |output| output.code != 0), "a missing program gave {none:?}");
    let start = Instant::now();
    let late = container.exec(guest.ready(), 1);
    ensure!(late.is_err(), "a program that never ends gave {late:?}");
    ensure!(start.elapsed().as_secs() < 8, "ending it took {} s", start.elapsed().as_secs());
    // An exec never ends the container.
    container.exec(guest.hello(), 10)?.ok()?.prints("hello")?;
    container.stop(5)
}

/// Without a terminal: three streams, and the exit code.
fn exec(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("exec").run()?;
    let container = running(&pod, Guest::Native)?;
    let mut stream = container.exec_stream(&["/bin/sh", "-c", &format!("echo err >&2; {ECHO}")], false)?;
    stream.feed("one\n")?;
    stream.says("heard one\n")?;
    stream.feed("end\n")?;
    let output = stream.finish()?.exits(5)?.complains("err")?;
    ensure!(output.stdout == "heard one\nheard end\n", "stdout is {:?}", output.stdout);
    container.exec_stream(&["/bin/true"], false)?.finish()?.ok().map(drop)
}

/// With a terminal: it echoes, has the requested size, and turns Ctrl-C into SIGINT.
fn exec_tty(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("exec").run()?;
    let container = running(&pod, Guest::Native)?;
    let mut stream = container.exec_stream(&["/bin/sh", "-c", OBEY], true)?;
    terminal(&mut stream)?;
    stream.finish()?.exits(4).map(drop)
}

/// Exercises the terminal of [`OBEY`], which then exits with 4. The quotes make typed input, which is
/// echoed, differ from output.
fn terminal(stream: &mut Stream) -> Result<()> {
    for (columns, rows) in [(101, 43), (80, 24)] {
        stream.resize(columns, rows)?;
        let size = format!("until [ \"$(busybox stty size)\" = '{rows} {columns}' ]; do sleep 0.1; done; ");
        stream.feed(&format!("{size}echo of ''{columns}\n"))?;
        stream.says(&format!("echo of ''{columns}\r\n"))?;
        stream.says(&format!("\nof {columns}\r\n"))?;
    }
    stream.feed("test -t 0 && test -t 1 && test -t 2 && echo ter''minals\n")?;
    stream.says("\nterminals\r\n")?;
    let patient = r#"trap "echo inter''rupted; exit" INT; echo wait''ing; while :; do sleep 0.1; done"#;
    stream.feed(&format!("sh -c {}\n", quoted(patient)))?;
    stream.says("\nwaiting\r\n")?;
    stream.feed("\u{3}")?;
    stream.says("interrupted\r\n")?;
    stream.feed("exit 4\n")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The container's own streams: input arrives, and output reaches both the client and the log.
fn attach(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("attached").run()?;
    let container = pod.container("echo").script(ECHO).with(|config| config.stdin = true).start()?;
    container.attach(true, false)?.knock("one\n", "heard one\n")?;
    // Without stdin_once a second client may attach.
    let mut stream = container.attach(true, false)?;
    stream.knock("two\n", "heard two\n")?;
    // Checked in the log: containerd ends an attachment at the EOF of stderr, which may come before the last output.
    stream.feed("end\n")?;
    let output = container.finish()?.exits(5)?;
    let log = &output.stdout;
    let whole = log.starts_with("heard one\n") && log.ends_with("heard two\nheard end\n");
    ensure!(whole, "its log says {log:?}");
    Ok(())
}

/// With stdin_once the input ends when the first client leaves.
fn stdin_once(cri: &Cri<'_>, guest: Guest) -> Result<()> {
    let cat = match guest {
        Guest::Wasm => "/cases/stdin.wasm",
        Guest::Native => "/bin/cat",
    };
    let pod = cri.pod("once").run()?;
    let plan = pod.container("cat").args(&[cat]).with(|config| {
        config.stdin = true;
        config.stdin_once = true;
    });
    let container = plan.start()?;
    container.attach(true, false)?.knock("once\n", "once\n")?;
    let output = container.finish()?.ok()?;
    ensure!(output.stdout.lines().all(|line| line == "once"), "its log says {:?}", output.stdout);
    Ok(())
}

fn attach_tty(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("attached").run()?;
    let shell = pod.container("shell").script(OBEY).with(|config| {
        config.stdin = true;
        config.tty = true;
    });
    let container = shell.start()?;
    let mut stream = container.attach(true, true)?;
    stream.knock("\n", "\r\n")?;
    terminal(&mut stream)?;
    container.finish()?.exits(4).map(drop)
}

/// A second guest in the first one's container.
fn exec_wasm(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("exec").run()?;
    let container = running(&pod, Guest::Wasm)?;
    let output = container.exec_stream(Guest::Wasm.hello(), false)?.finish()?.ok()?;
    ensure!(output.stdout == "hello\n", "stdout is {:?}", output.stdout);
    let mut stream = container.exec_stream(&["/cases/stdin.wasm"], false)?;
    stream.feed("one\n")?;
    stream.says("one\n")?;
    let mut stream = container.exec_stream(&["/cases/stdin.wasm"], true)?;
    stream.feed("two\n")?;
    // Once by the terminal, once by the guest.
    stream.says("two\r\ntwo\r\n")?;
    stream.feed("\u{4}")?;
    stream.finish()?.ok().map(drop)
}

fn attach_wasm(cri: &Cri<'_>) -> Result<()> {
    let pod = cri.pod("attached").run()?;
    let echo =
        pod.container("echo").args(&["/cases/stdin.wasm"]).with(|config| config.stdin = true).start()?;
    echo.attach(true, false)?.knock("one\n", "one\n")?;
    let typed = pod.container("typed").args(&["/cases/stdin.wasm"]).with(|config| {
        config.stdin = true;
        config.tty = true;
    });
    let container = typed.start()?;
    let mut stream = container.attach(true, true)?;
    stream.knock("two\n", "two\r\ntwo\r\n")?;
    stream.feed("\u{4}")?;
    container.finish()?.ok().map(drop)
}
