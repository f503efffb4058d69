//! Terminals: `ctr run -t` and `ctr tasks exec -t`, for guests and for Linux programs.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::LIMIT;
use e2e::runner::Scenario;
use e2e::terminal::Terminal;

use crate::lifecycle::both;

/// WASI's file type of a terminal (2), for stdin and for stdout.
const DEVICES: i32 = 0x22;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(both("terminal-echo", echo));
    scenarios.extend(both("terminal-interrupt", interrupt));
    scenarios.extend(both("terminal-exec", exec));
    scenarios.push(Scenario::ours("wasm-terminal-kinds", kinds));
    scenarios.push(Scenario::any("native-terminal-size", size));
    scenarios.push(Scenario::any("native-terminal-name", name));
    scenarios
}

/// Typed input is echoed once by the terminal and once by the program.
fn echo(daemon: &Containerd, guest: Guest) -> Result<()> {
    let mut terminal = Terminal::start(&mut daemon.run("typist").args(guest.cat()).at_terminal(), 80, 24)?;
    daemon.becomes("typist", "RUNNING")?;
    terminal.types("line\n")?;
    terminal.shows("line\nline\n", LIMIT)?;
    // EOF of a terminal.
    terminal.types("\u{4}")?;
    let (code, shown) = terminal.finish(LIMIT)?;
    ensure!(code == 0, "exit code {code}; shown {shown:?}");
    Ok(())
}

/// ^C terminates the program.
fn interrupt(daemon: &Containerd, guest: Guest) -> Result<()> {
    let args: &[&str] = match guest {
        Guest::Wasm => Guest::Wasm.ready(),
        Guest::Native => &["/bin/sh", "-c", "trap 'exit 130' INT; echo ready; while :; do sleep 0.1; done"],
    };
    let mut terminal = Terminal::start(&mut daemon.run("typist").args(args).at_terminal(), 80, 24)?;
    terminal.shows("ready", LIMIT)?;
    terminal.types("\u{3}")?;
    let (code, shown) = terminal.finish(LIMIT)?;
    ensure!(code == 130, "exit code {code}; shown {shown:?}");
    Ok(())
}

fn exec(daemon: &Containerd, guest: Guest) -> Result<()> {
    daemon.run("host").args(guest.ready()).detach()?;
    let exec = daemon.exec("host", "typist", guest.cat());
    let mut terminal = Terminal::start(&mut exec.at_terminal(), 80, 24)?;
    terminal.types("line\n")?;
    terminal.shows("line\nline\n", LIMIT)?;
    terminal.types("\u{4}")?;
    let (code, shown) = terminal.finish(LIMIT)?;
    ensure!(code == 0, "exit code {code}; shown {shown:?}");
    daemon.kill_and_delete("host")
}

fn kinds(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("looker").args(&["/guests/kinds.wasm"]);
    let (code, shown) = Terminal::start(&mut run.at_terminal(), 80, 24)?.finish(LIMIT)?;
    ensure!(code == DEVICES, "kinds {code:#x} instead of {DEVICES:#x}; shown {shown:?}");
    let code = daemon.run("looker").args(&["/guests/kinds.wasm"]).finish()?.code;
    ensure!(code != DEVICES, "a guest without a terminal sees two");
    Ok(())
}

fn size(daemon: &Containerd) -> Result<()> {
    let script = "until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; echo fits";
    let run = daemon.run("sized").args(&["/bin/sh", "-c", script]);
    let terminal = Terminal::start(&mut run.at_terminal(), 111, 33)?;
    terminal.shows("fits", LIMIT)?;
    terminal.finish(LIMIT)?;
    Ok(())
}

/// The container sees its terminal as /dev/pts/0, and as /dev/console.
fn name(daemon: &Containerd) -> Result<()> {
    let run = daemon.run("named").args(&["/bin/sh", "-c", "tty; echo to console >/dev/console"]);
    let (code, shown) = Terminal::start(&mut run.at_terminal(), 80, 24)?.finish(LIMIT)?;
    ensure!(code == 0 && shown.contains("/dev/pts/0\n"), "exit code {code}; shown {shown:?}");
    ensure!(shown.contains("to console"), "shown {shown:?}");
    Ok(())
}
