//! Every case on an engine alone, without the box: each in a process of its own.
//!
//! The program that calls [`main`] executes itself again for each case. The child maps the code, changes its root to a
//! temporary directory (which requires root), loads and runs the guest. Mounts are plain directories there; read-only
//! ones are bind-mounted read-only. Cases about users and signals belong to the box and are reported as left out. Every
//! child must still have only one thread when it ends.

#![expect(clippy::print_stdout, reason = "one line per case")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};
use engine::{Bound, Compiled, Engine, Equipment, Exit};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::json;
use workload::{Guest, Options, Workload, World};

use crate::{Case, Expected, Source, contract};

/// The flag of the child; the case's name and a directory follow.
const CHILD: &str = "--guest";

/// Runs every case, or those whose names contain the first argument, on the engine that `make` sets up, and prints a
/// line for each.
pub fn main<E: Engine>(make: impl Fn() -> anyhow::Result<E>) -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let passed = make().and_then(|engine| match arguments.as_slice() {
        [flag, name, dir] if flag == CHILD => Ok(be_guest(&engine, name, Path::new(dir))?),
        [word, ..] if !word.starts_with('-') => run_all(&engine, word),
        _ => run_all(&engine, ""),
    });
    passed.unwrap_or_else(|error| {
        eprintln!("conformance: {error:#}");
        ExitCode::FAILURE
    })
}

fn run_all(engine: &dyn Engine, filter: &str) -> anyhow::Result<ExitCode> {
    let cases = contract(engine.name())?;
    let chosen = cases.iter().filter(|case| case.name.contains(filter));
    let failures = chosen.map(|case| report(engine, case)).filter(|passed| !passed).count();
    println!("{failures} failed");
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a case and prints its line. Returns whether it passed.
fn report(engine: &dyn Engine, case: &Case) -> bool {
    let left_out = match case {
        Case { user: Some(_), .. } => Some("about users: the box's"),
        Case { signal: Some(_), .. } => Some("about signals: the box's"),
        _ => None,
    };
    let outcome = match left_out {
        Some(reason) => Ok(format!("left out, {reason}")),
        None => check(engine, case).map(|()| "ok".to_owned()),
    };
    match &outcome {
        Ok(word) => println!("{:28} {word}", case.name),
        Err(error) => println!("{:28} FAILED: {error:#}", case.name),
    }
    outcome.is_ok()
}

/// Runs a case, with each kind of stdin if it has one: a pipe is polled, a file is always ready.
fn check(engine: &dyn Engine, case: &Case) -> anyhow::Result<()> {
    judge(&case.expected, attempt(engine, case, pipe)?)?;
    if case.stdin.is_none() {
        return Ok(());
    }
    attempt(engine, case, file)
        .and_then(|outcome| judge(&case.expected, outcome))
        .context("with a file for stdin")
}

enum Outcome {
    Refused(String),
    Ended { code: u8, out: String, err: String },
}

fn judge(expected: &Expected, outcome: Outcome) -> anyhow::Result<()> {
    match (expected, outcome) {
        (Expected::Refused(words), Outcome::Refused(sentence)) => {
            ensure!(!sentence.contains('\n'), "not one sentence: {sentence}");
            let missing = words.iter().find(|word| !sentence.contains(word.as_str()));
            missing.map_or(Ok(()), |word| bail!("no {word:?} in {sentence:?}"))
        }
        (Expected::Refused(_), Outcome::Ended { code, .. }) => bail!("ran, and ended with {code}"),
        (Expected::Exit { .. }, Outcome::Refused(sentence)) => bail!("refused: {sentence}"),
        (Expected::Exit { code, stdout, stderr }, Outcome::Ended { code: got, out, err }) => {
            ensure!(*code == got, "exit code {got}, not {code}; stderr {err:?}");
            if let Some(stdout) = stdout {
                ensure!(out.strip_suffix('\n').unwrap_or(&out) == stdout, "stdout {out:?}, not {stdout:?}");
            }
            let missing = stderr.iter().find(|word| !err.contains(word.as_str()));
            missing.map_or(Ok(()), |word| bail!("no {word:?} in stderr {err:?}"))
        }
    }
}

/// Compiles the case as the shim does, then runs the guest in a child process.
fn attempt(engine: &dyn Engine, case: &Case, stdin: Input) -> anyhow::Result<Outcome> {
    let wasm = wasm(case)?;
    let world = match World::detect(&wasm, function(case)) {
        Ok(world) => world,
        Err(error) => return Ok(Outcome::Refused(error.to_string())),
    };
    if let Some(lacks) = engine.lacks(&world) {
        return Ok(Outcome::Refused(format!("{} {lacks}", engine.name())));
    }
    let code = match engine.compile(&wasm, &world) {
        Ok(code) => code,
        Err(error) => return Ok(Outcome::Refused(format!("{error:#}"))),
    };
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("code"), code)?;
    prepare_root(case, &dir.path().join("root"))?;
    let ended = child(case, dir.path(), stdin)?;
    let refused = fs::read_to_string(dir.path().join("refused"))?;
    Ok(if refused.is_empty() { ended } else { Outcome::Refused(refused) })
}

fn wasm(case: &Case) -> anyhow::Result<Vec<u8>> {
    match &case.source {
        Source::Text(text) => Ok(wat::parse_str(text)?),
        Source::Guest(path) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../test/guests").join(path);
            fs::read(&path).with_context(|| path.display().to_string())
        }
    }
}

/// The function after the `#` of a case's entry.
fn function(case: &Case) -> Option<&str> {
    case.entry.split_once('#').map(|(_, function)| function)
}

/// Makes the directories of the case's mounts, the files of the test image other than modules, and the devices of a
/// box.
fn prepare_root(case: &Case, root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("cases"))?;
    fs::write(root.join("secret"), "only root reads this\n")?;
    symlink("/cases", root.join("away"))?;
    fs::create_dir_all(root.join("dev"))?;
    for (name, minor) in [("random", 8), ("urandom", 9)] {
        let (path, device) = (root.join("dev").join(name), rustix::fs::makedev(1, minor));
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::from(0o666), device)
            .context("cannot make a device; this test wants root's rights")?;
    }
    for mount in &case.mounts {
        let dir = root.join(mount.path.trim_start_matches('/'));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("note"), "from the host")?;
    }
    Ok(())
}

/// Makes an stdin that holds a text; the directory is for temporary files.
type Input = fn(&str, &Path) -> anyhow::Result<Stdio>;

fn pipe(text: &str, _dir: &Path) -> anyhow::Result<Stdio> {
    // The texts of cases fit in a pipe.
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(text.as_bytes())?;
    Ok(reader.into())
}

fn file(text: &str, dir: &Path) -> anyhow::Result<Stdio> {
    let path = dir.join("stdin");
    fs::write(&path, text)?;
    Ok(File::open(path)?.into())
}

/// Runs the guest in a child process and returns how it ended.
fn child(case: &Case, dir: &Path, stdin: Input) -> anyhow::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CHILD, &case.name]).arg(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(case.stdin.as_deref().map_or(Ok(Stdio::null()), |text| stdin(text, dir))?);
    let output = command.output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().with_context(|| format!("ended by {}", output.status))?;
    Ok(Outcome::Ended { code: u8::try_from(code)?, out: text(&output.stdout), err: text(&output.stderr) })
}

/// The main function of the child: from here on it does what a guest's process does.
fn be_guest(engine: &dyn Engine, name: &str, dir: &Path) -> anyhow::Result<ExitCode> {
    let case = contract(engine.name())?.into_iter().find(|case| case.name == name);
    let case = case.with_context(|| format!("there is no case {name:?}"))?;
    let threads = File::open("/proc/self/task")?;
    let mut refused = File::create(dir.join("refused"))?;
    match load_and_run(engine, &case, dir) {
        Ok(exit) => {
            if let Exit::Trap(message) | Exit::OutOfMemory(message) = &exit {
                eprintln!("{message}");
            }
            // The link count of a directory is 2 plus its subdirectories: one per thread.
            assert_eq!(threads.metadata()?.nlink() - 2, 1, "threads");
            Ok(ExitCode::from(exit.status()))
        }
        Err(error) => {
            write!(refused, "{error:#}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn load_and_run(engine: &dyn Engine, case: &Case, dir: &Path) -> anyhow::Result<Exit> {
    let world = World::detect(&wasm(case)?, function(case))?;
    let code = File::open(dir.join("code"))?;
    // SAFETY: the parent wrote the bytes with Engine::compile of this very program.
    let code = unsafe { Compiled::vouched(code) };
    let guest = guest(case, world)?;
    let mapped = engine.map(code, &guest)?;
    let bound = File::options().read(true).write(true).create(true).truncate(true).open(dir.join("bound"))?;
    Bound::write(&bound, case.memory)?;
    protect(case, &dir.join("root"))?;
    std::os::unix::fs::chroot(dir.join("root"))
        .context("cannot change the root; this test wants root's rights")?;
    std::env::set_current_dir("/")?;
    let equipment = Equipment { bound: Bound::in_file(bound), sockets: Vec::new(), stop: None };
    Ok(mapped.load(guest, equipment)?.run())
}

/// Mounts the read-only directories, in a mount namespace of the child's own.
fn protect(case: &Case, root: &Path) -> anyhow::Result<()> {
    let below =
        case.mounts.iter().map(|mount| (root.join(mount.path.trim_start_matches('/')), mount.writable));
    let all = below.chain([(root.to_owned(), !case.readonly_rootfs)]);
    unshare(CloneFlags::CLONE_NEWNS).context("cannot leave the mounts; this test wants root's rights")?;
    let change =
        |from: Option<&Path>, place: &Path, flags| mount(from, place, None::<&str>, flags, None::<&str>);
    change(None, Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    for (dir, _) in all.filter(|(_, writable)| !writable) {
        change(Some(&dir), &dir, MsFlags::MS_BIND | MsFlags::MS_REC)?;
        change(None, &dir, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY)?;
    }
    Ok(())
}

/// The guest that the shim would make for the case's container.
fn guest(case: &Case, world: World) -> anyhow::Result<Guest> {
    let args: Vec<_> = std::iter::once(&case.entry).chain(&case.args).collect();
    let mounts: Vec<_> = case.mounts.iter().map(|mount| json!({ "destination": mount.path })).collect();
    let cwd = case.cwd.as_deref().unwrap_or("/");
    let spec = json!({
        "ociVersion": "1.0.2",
        "root": { "path": "root" },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": cwd, "args": args, "env": case.env },
        "mounts": mounts,
    });
    let spec = serde_json::to_vec(&spec)?;
    let workload = Workload::read(&case.name, Path::new("/"), &spec, Options::default())?;
    Ok(Guest::of(&workload, world)?)
}
