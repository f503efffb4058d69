//! Scenarios through Docker's command line: what its users type, and what it prints.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::docker::{self, GUESTS_ONLY, RUNTIME};
use e2e::guests::Guest;
use e2e::image;
use e2e::output::Output;
use e2e::process::{LIMIT, poll, run};
use e2e::runner::Scenario;
use e2e::terminal::Terminal;

/// The name of a scenario's container.
const NAME: &str = "dock";

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, check) in [
        ("run", ran as fn(&Containerd, Guest) -> Result<()>),
        ("life", life),
        ("exec", exec),
        ("init", init),
        ("volumes", volumes),
        ("terminal", terminal),
    ] {
        scenarios.push(docker::ours(format!("docker-wasm-{name}"), move |daemon| check(daemon, Guest::Wasm)));
        scenarios
            .push(docker::any(format!("docker-native-{name}"), move |daemon| check(daemon, Guest::Native)));
    }
    scenarios.push(docker::ours("docker-refusals", refusals));
    scenarios.push(docker::ours("docker-volume-of-another-kind", other_kind));
    scenarios.push(docker::ours("docker-annotation", annotation));
    scenarios.push(docker::ours("docker-options", options));
    scenarios.push(docker::ours("docker-health", health));
    scenarios.push(docker::ours("docker-pids", pids));
    scenarios.push(docker::ours("docker-port", port));
    scenarios.push(docker::any("docker-oom", oom));
    scenarios
}

/// `docker run --rm`, to its end.
fn runs(daemon: &Containerd, flags: &[&str], args: &[&str]) -> Result<Output> {
    run(&mut daemon.docker_run(&[&["--rm"], flags].concat(), args)?)
}

/// `docker run --detach`, until the log says "ready".
fn detached(daemon: &Containerd, flags: &[&str], args: &[&str]) -> Result<()> {
    run(&mut daemon.docker_run(&[&["--detach", "--name", NAME], flags].concat(), args)?)?.ok()?;
    logged(daemon, "ready")
}

fn logged(daemon: &Containerd, text: &str) -> Result<()> {
    poll("the log", LIMIT, || Ok(says(daemon, &["logs", NAME])?.stdout.contains(text).then_some(())))
}

fn says(daemon: &Containerd, args: &[&str]) -> Result<Output> {
    daemon.docker_says(args)?.ok()
}

fn state(daemon: &Containerd, field: &str) -> Result<String> {
    let output = says(daemon, &["inspect", "--format", &format!("{{{{.State.{field}}}}}"), NAME])?;
    Ok(output.stdout.trim().to_owned())
}

fn removed(daemon: &Containerd) -> Result<()> {
    says(daemon, &["rm", "--force", NAME]).map(drop)
}

fn ran(daemon: &Containerd, guest: Guest) -> Result<()> {
    runs(daemon, &[], guest.hello())?.ok()?.prints("hello")?;
    runs(daemon, &[], guest.three())?.exits(3).map(drop)
}

/// Stopped, started again, killed: the exit code and the log of each run.
fn life(daemon: &Containerd, guest: Guest) -> Result<()> {
    detached(daemon, &[], guest.polite())?;
    ensure!(says(daemon, &["top", NAME])?.stdout.contains(guest.polite()[0]), "top does not show it");
    for word in ["pause", "unpause"] {
        says(daemon, &[word, NAME])?;
    }
    says(daemon, &["stop", NAME])?;
    ensure!(state(daemon, "ExitCode")? == "143", "stopped: {}", state(daemon, "ExitCode")?);
    says(daemon, &["start", NAME])?;
    poll("the log of the second run", LIMIT, || {
        Ok((says(daemon, &["logs", NAME])?.stdout.matches("ready").count() == 2).then_some(()))
    })?;
    says(daemon, &["kill", NAME])?;
    says(daemon, &["wait", NAME])?.prints("137")?;
    removed(daemon)
}

/// The exit code is the program's; a program that cannot run has Docker's documented codes.
fn exec(daemon: &Containerd, guest: Guest) -> Result<()> {
    detached(daemon, &[], guest.ready())?;
    let exec = |args: &[&str]| daemon.docker_says(&[&["exec", NAME], args].concat());
    exec(guest.hello())?.ok()?.prints("hello")?;
    exec(guest.three())?.exits(3)?;
    // Docker 26 reports 126 for anything that cannot be executed, with runc, too.
    let version = says(daemon, &["version", "--format", "{{.Server.Version}}"])?.stdout;
    let code = |code| if version.starts_with("26.") { 126 } else { code };
    for (expected, program) in [(127, "none"), (127, "/bad/none"), (126, "/bad/directory.wasm")] {
        exec(&[program])?.exits(code(expected)).context(program)?;
    }
    if guest == Guest::Wasm {
        let refused = exec(&["/bin/true"])?.exits(code(128))?;
        ensure!(refused.stdout.contains("allow-native-exec"), "it says {:?}", refused.stdout);
    }
    removed(daemon)
}

/// A guest replaces Docker's init; a Linux program is its child.
fn init(daemon: &Containerd, guest: Guest) -> Result<()> {
    runs(daemon, &["--init"], guest.hello())?.ok()?.prints("hello")?;
    detached(daemon, &["--init"], guest.ready())?;
    let shown = says(daemon, &["top", NAME])?.stdout;
    ensure!(shown.contains("docker-init") == (guest == Guest::Native), "{shown}");
    says(daemon, &["stop", "-t", "1", NAME])?;
    removed(daemon)
}

fn volumes(daemon: &Containerd, guest: Guest) -> Result<()> {
    let dir = daemon.scope.dir.join("tmp/volume");
    fs::create_dir_all(&dir)?;
    let bind = |rights: &str| format!("{}:/outbox{rights}", dir.display());
    runs(daemon, &["--volume", &bind("")], guest.make())?.ok()?;
    fs::remove_file(dir.join("made")).context("what the container made is not in the volume")?;
    ensure!(
        runs(daemon, &["--volume", &bind(":ro")], guest.make())?.code != 0,
        "it wrote to a read-only volume"
    );
    runs(daemon, &["--read-only", "--tmpfs", "/outbox"], guest.make())?.ok()?;
    runs(daemon, &["--volume", "/outbox"], guest.make())?.ok().map(drop)
}

/// A file mounted on a directory, and the reverse: Docker recognises the error and adds a hint.
fn other_kind(daemon: &Containerd) -> Result<()> {
    let file = daemon.scope.dir.join("tmp/file");
    fs::write(&file, "")?;
    let dir = daemon.scope.dir.join("tmp");
    for (source, path, guest) in
        [(&file, "/nodes", Guest::Wasm), (&dir, "/secret", Guest::Wasm), (&file, "/nodes", Guest::Native)]
    {
        let bind = format!("{}:{path}", source.display());
        let refused = runs(daemon, &["--volume", &bind], guest.hello())?.exits(125)?;
        refused.complains(path)?.complains("Are you trying to mount a directory onto a file")?;
    }
    Ok(())
}

/// 125, 126 and 127, as `docker run` documents them.
fn refusals(daemon: &Containerd) -> Result<()> {
    for (code, program, words) in [
        (127, "none.wasm", "executable file not found in $PATH"),
        (127, "/bad/none.wasm", "no such file or directory"),
        (126, "/bad/directory.wasm", "permission denied"),
        (125, "/etc/passwd", "exec format error"),
        (125, "/bad/truncated.wasm", "not a valid Wasm module"),
    ] {
        let refused = runs(daemon, &[], &[program])?;
        refused.exits(code)?.complains(words).context(program)?;
    }
    Ok(())
}

fn annotation(daemon: &Containerd) -> Result<()> {
    let refused =
        runs(daemon, &["--annotation", "lighter.wasm/engine=steam"], Guest::Wasm.hello())?.exits(125)?;
    refused.complains("the annotation lighter.wasm/engine says \"steam\"").map(drop)
}

/// The options file that dockerd's configuration names reaches the shim.
fn options(daemon: &Containerd) -> Result<()> {
    let image = image::name(None);
    let ran = |args: &[&str]| {
        daemon.docker_says(&[&["run", "--rm", "--runtime", GUESTS_ONLY, &image], args].concat())
    };
    ran(Guest::Wasm.hello())?.ok()?.prints("hello")?;
    ran(Guest::Native.hello())?.exits(125)?.complains("the runtime's option LinuxPrograms denies").map(drop)
}

/// A HEALTHCHECK in exec form runs without a shell.
fn health(daemon: &Containerd) -> Result<()> {
    let (image, sound) = (image::name(None), "localhost/e2e:sound");
    says(daemon, &["create", "--name", NAME, "--runtime", RUNTIME, &image, "/guests/ready.wasm"])?;
    let check = r#"HEALTHCHECK --interval=1s CMD ["/guests/hello.wasm"]"#;
    says(daemon, &["commit", "--change", check, NAME, sound])?;
    removed(daemon)?;
    says(daemon, &["run", "--detach", "--name", NAME, "--runtime", RUNTIME, sound, "/guests/ready.wasm"])?;
    poll("it to be healthy", LIMIT, || Ok((state(daemon, "Health.Status")? == "healthy").then_some(())))?;
    removed(daemon)?;
    says(daemon, &["rmi", sound]).map(drop)
}

/// A server keeps within the pids limit; where it cannot, the error names the limit.
fn pids(daemon: &Containerd) -> Result<()> {
    for limit in ["2", "3", "4"] {
        run(&mut daemon.docker_run(
            &["--detach", "--name", NAME, "--pids-limit", limit],
            &["/guests/http-hello.wasm"],
        )?)?
        .ok()
        .with_context(|| format!("limit {limit}"))?;
        says(daemon, &["stop", NAME])?;
        ensure!(state(daemon, "ExitCode")? == "0", "limit {limit}: {}", state(daemon, "ExitCode")?);
        removed(daemon)?;
    }
    let refused = runs(daemon, &["--pids-limit", "1"], &["/guests/http-hello.wasm"])?.exits(125)?;
    refused.complains("its limit of processes (pids)").map(drop)
}

/// A published port of the host reaches the guest.
fn port(daemon: &Containerd) -> Result<()> {
    let flags = ["--detach", "--name", NAME, "--publish", "127.0.0.1:8099:8080"];
    run(&mut daemon.docker_run(&flags, &["/guests/http-hello.wasm"])?)?.ok()?;
    let net = daemon.net.as_ref().context("a dockerd without a network of its own")?;
    let mut get = net.command("busybox".as_ref());
    get.args(["wget", "-q", "-O", "-", "http://127.0.0.1:8099/"]);
    poll("an answer", LIMIT, || Ok((run(&mut get)?.stdout.trim() == "hello").then_some(())))?;
    removed(daemon)
}

fn oom(daemon: &Containerd) -> Result<()> {
    let greedy = ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    run(&mut daemon.docker_run(&["--name", NAME, "--memory", "32m"], &greedy)?)?.exits(137)?;
    ensure!(state(daemon, "OOMKilled")? == "true", "Docker does not report that memory ran out");
    removed(daemon)
}

/// Typed input is echoed once by the terminal and once by the program.
fn terminal(daemon: &Containerd, guest: Guest) -> Result<()> {
    let mut typed = daemon.docker_run(&["--rm", "--interactive", "--tty", "--name", NAME], guest.cat())?;
    let mut terminal = Terminal::start(&mut typed, 80, 24)?;
    poll("it to run", LIMIT, || {
        let output = daemon.docker_says(&["inspect", "--format", "{{.State.Running}}", NAME])?;
        Ok((output.stdout.trim() == "true").then_some(()))
    })?;
    terminal.types("line\n")?;
    terminal.shows("line\nline\n", LIMIT)?;
    terminal.types("\u{4}")?;
    let (code, shown) = terminal.finish(LIMIT)?;
    ensure!(code == 0, "exit code {code}; shown {shown:?}");
    Ok(())
}
