//! Output: slow readers, null I/O, log files, logger programs.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;

use crate::lifecycle::both;

const MIB: usize = 1 << 20;
const FLOOD: usize = 100 * MIB;

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    scenarios.extend(both("slow-reader", slow_reader));
    scenarios.extend(both("null-io", |daemon, guest| {
        daemon.run("quiet").quiet().args(guest.hello()).finish()?.ok()?.prints("").map(drop)
    }));
    scenarios.extend(both("log-file", log_file));
    scenarios.push(Scenario::any("native-log-kept", log_kept));
    scenarios.extend(both("logger", logger));
    scenarios.extend(both("logger-missing", logger_missing));
    scenarios
}

/// No output is lost, and back-pressure reaches the guest: while the reader sleeps, the daemon does not grow.
fn slow_reader(daemon: &Containerd, guest: Guest) -> Result<()> {
    let fifo = daemon.scope.dir.join("fifo").join(format!("slow-{}", guest.word()));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let uri = format!("fifo://{}", fifo.display());
    let run = daemon.run("flood").args(guest.flood());
    let read = thread::spawn(move || -> Result<usize> {
        let mut reader = File::open(&fifo)?;
        let (mut block, mut total) = (vec![0; MIB], 0);
        loop {
            match reader.read(&mut block)? {
                0 => return Ok(total),
                length => total += length,
            }
            // At most 1 MiB per 200 µs.
            thread::sleep(Duration::from_micros(200));
        }
    });
    run.detach_to(&uri)?;
    let held = poll("the flood to end", LIMIT * 2, || {
        let held = resident(daemon.shim_of("flood")?.pid)?;
        ensure!(held < 64 * MIB, "the daemon holds {held} bytes");
        Ok((daemon.task("flood")?.status == "STOPPED").then_some(held))
    })?;
    let total = read.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(total == FLOOD, "{total} of {FLOOD} bytes arrived; the daemon held {held}");
    daemon.delete_task("flood", 0)?;
    daemon.delete_container("flood")
}

fn resident(pid: i32) -> Result<usize> {
    const PAGE: usize = 4096;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = |nth| anyhow::Ok(statm.split(' ').nth(nth).context("a short statm")?.parse::<usize>()?);
    // Without pages of files: the program's, and its libraries'.
    Ok((pages(1)? - pages(2)?) * PAGE)
}

/// The log's directory is created.
fn log_file(daemon: &Containerd, guest: Guest) -> Result<()> {
    let log = daemon.scope.dir.join("log").join(guest.word()).join("all.log");
    daemon.run("written").args(guest.hello()).detach_to(&format!("file://{}", log.display()))?;
    daemon.becomes("written", "STOPPED")?;
    ensure!(fs::read_to_string(&log)? == "hello\n", "the log says {:?}", fs::read_to_string(&log));
    daemon.delete_task("written", 0)?;
    daemon.delete_container("written")
}

/// A program cannot truncate its log or an exec's: its stdout is not the file.
fn log_kept(daemon: &Containerd) -> Result<()> {
    const SCRIPT: &str = "echo first; : >/proc/self/fd/1; : >/proc/self/fd/2; echo last";
    const KEPT: &str = "first\nlast\n";
    let log = |name: &str| daemon.scope.dir.join("log").join(name);
    let says = |name: &str| {
        poll(name, LIMIT, || Ok(fs::read_to_string(log(name)).is_ok_and(|text| text == KEPT).then_some(())))
            .with_context(|| format!("the log says {:?}", fs::read_to_string(log(name))))
    };
    let script = format!("{SCRIPT}; exec sleep 1000");
    let run = daemon.run("log-kept").args(&["/bin/sh", "-c", &script]);
    run.detach_to(&format!("file://{}", log("log-kept").display()))?;
    says("log-kept")?;
    let exec = daemon.exec("log-kept", "one", &["/bin/sh", "-c", SCRIPT]);
    exec.flag("--log-uri", &format!("file://{}", log("log-kept-exec").display())).detached()?;
    says("log-kept-exec")?;
    daemon.kill_and_delete("log-kept")
}

/// A logger reads the guest's stdout on descriptor 3 and its stderr on 4; it closes 5 when it is ready, and gets
/// the container's id in its environment.
fn logger(daemon: &Containerd, guest: Guest) -> Result<()> {
    let dir = daemon.scope.dir.join("log").join(format!("logger-{}", guest.word()));
    fs::create_dir_all(&dir)?;
    let program = dir.join("logger");
    let script = format!(
        "#!/bin/sh\ncd {}\necho \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" >who\n\
         exec 5>&-\n/bin/busybox cat <&3 >out\n/bin/busybox cat <&4 >err\necho done >end\n",
        dir.display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let uri = format!("binary://{}?level=high", program.display());
    daemon.run("logged").args(guest.hello()).detach_to(&uri)?;
    daemon.becomes("logged", "STOPPED")?;
    // Delete waits until the logger has read everything.
    daemon.delete_task("logged", 0)?;
    ensure!(dir.join("end").exists(), "delete did not wait for the logger");
    let says = |name: &str| fs::read_to_string(dir.join(name)).with_context(|| name.to_owned());
    ensure!(says("out")? == "hello\n", "it read {:?}", says("out"));
    ensure!(says("who")?.trim() == format!("logged {} level high", daemon.scope.tag), "{:?}", says("who"));
    daemon.delete_container("logged")
}

fn logger_missing(daemon: &Containerd, guest: Guest) -> Result<()> {
    let output = daemon.run("mute").args(guest.hello()).log_uri("binary:///no/such/logger").finish()?;
    ensure!(output.code != 0, "it ran without its logger");
    output.complains("/no/such/logger").map(drop)
}
