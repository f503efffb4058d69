//! Every case of test/cases that an engine can run alone, each in a process of its own.
//!
//! This program runs itself again for each case. The child maps the code, makes a temporary folder
//! its root (which takes root's rights), loads and runs the guest. Mounts are plain folders there,
//! and read-only only by their preopen's rights. Cases about users and signals belong to the box
//! and are named as left out. Every child must end with the one thread it began with.

#![expect(clippy::print_stdout, reason = "one line per case")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};
use cases::{Case, Expected, Source};
use engine::{Bound, Compiled, Engine, Equipment, Exit};
use engine_wasmtime::Wasmtime;
use rustix::fs::{CWD, FileType, Mode};
use workload::{Access, Guest, Outbound, Preopen, World};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, flag, name, folder] = arguments.as_slice()
        && flag == "--guest"
    {
        return be_guest(&case_named(name), Path::new(folder));
    }
    let wanted = arguments.get(1).filter(|word| !word.starts_with('-'));
    let cases =
        all_cases().into_iter().filter(|case| wanted.is_none_or(|word| case.name.contains(word.as_str())));
    let failures = cases.map(|case| report(&case)).filter(|passed| !passed).count();
    println!("{failures} failed");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn test_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test")
}

fn all_cases() -> Vec<Case> {
    cases::load_all(&test_folder().join("cases")).unwrap_or_else(|error| panic!("{error}"))
}

fn case_named(name: &str) -> Case {
    all_cases().into_iter().find(|case| case.name == name).expect("the parent named it")
}

/// Runs a case and prints its line. Whether it passed.
fn report(case: &Case) -> bool {
    let left_out = match case {
        Case { user: Some(_), .. } => Some("about users: the box's"),
        Case { signal: Some(_), .. } => Some("about signals: the box's"),
        _ => None,
    };
    let outcome = match left_out {
        Some(reason) => Ok(format!("left out, {reason}")),
        None => check(case).map(|()| "ok".to_owned()),
    };
    match &outcome {
        Ok(word) => println!("{:28} {word}", case.name),
        Err(error) => println!("{:28} FAILED: {error:#}", case.name),
    }
    outcome.is_ok()
}

/// With each kind of stdin where it matters: a pipe is watched, a file is always ready.
fn check(case: &Case) -> anyhow::Result<()> {
    check_with(case, pipe)?;
    if case.stdin.is_some() { check_with(case, file).context("with a file for stdin") } else { Ok(()) }
}

fn check_with(case: &Case, stdin: Input) -> anyhow::Result<()> {
    let outcome = attempt(case, stdin)?;
    match (&case.expected, outcome) {
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

enum Outcome {
    Refused(String),
    Ended { code: u8, out: String, err: String },
}

/// Compiles as the shim does, then runs the guest in a child.
fn attempt(case: &Case, stdin: Input) -> anyhow::Result<Outcome> {
    let wasm = match &case.source {
        Source::Text(text) => wat::parse_str(text)?,
        Source::Guest(path) => fs::read(test_folder().join("guests").join(path))?,
    };
    let function = case.entry.split_once('#').map(|(_, function)| function);
    let world = match World::detect(&wasm, function) {
        Ok(world) => world,
        Err(error) => return Ok(Outcome::Refused(error.to_string())),
    };
    let engine = Wasmtime::new()?;
    ensure!(engine.supports(&world), "no support for {world:?}");
    let code = match engine.compile(&wasm, &world) {
        Ok(code) => code,
        Err(error) => return Ok(Outcome::Refused(format!("{error:#}"))),
    };
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("code"), code)?;
    prepare_root(case, &folder.path().join("root"))?;
    let (status, out, err) = child(case, folder.path(), stdin)?;
    match fs::read_to_string(folder.path().join("root/refused")) {
        Ok(sentence) => Ok(Outcome::Refused(sentence)),
        Err(_) => Ok(Outcome::Ended { code: status, out, err }),
    }
}

/// The folders of the case's mounts, what the test image holds beside the modules, and the devices
/// that a box has.
fn prepare_root(case: &Case, root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("cases"))?;
    fs::write(root.join("secret"), "only root reads this\n")?;
    fs::create_dir_all(root.join("dev"))?;
    for (name, minor) in [("random", 8), ("urandom", 9)] {
        let device = rustix::fs::makedev(1, minor);
        rustix::fs::mknodat(
            CWD,
            root.join("dev").join(name),
            FileType::CharacterDevice,
            Mode::from(0o666),
            device,
        )
        .context("cannot make a device; this test wants root's rights")?;
    }
    for mount in &case.mounts {
        let folder = root.join(mount.path.trim_start_matches('/'));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("note"), "from the host")?;
    }
    Ok(())
}

/// Makes an stdin that holds a text; the folder is scratch.
type Input = fn(&str, &Path) -> anyhow::Result<Stdio>;

fn pipe(text: &str, _folder: &Path) -> anyhow::Result<Stdio> {
    // The texts of cases fit in a pipe.
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(text.as_bytes())?;
    Ok(reader.into())
}

fn file(text: &str, folder: &Path) -> anyhow::Result<Stdio> {
    let path = folder.join("stdin");
    fs::write(&path, text)?;
    Ok(File::open(path)?.into())
}

/// The exit code, stdout and stderr of the child that becomes the guest.
fn child(case: &Case, folder: &Path, stdin: Input) -> anyhow::Result<(u8, String, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--guest", &case.name]).arg(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(case.stdin.as_deref().map_or(Ok(Stdio::null()), |text| stdin(text, folder))?);
    let output = command.output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().with_context(|| format!("ended by {}", output.status))?;
    Ok((u8::try_from(code)?, text(&output.stdout), text(&output.stderr)))
}

/// The child: everything from here on is what a guest's process does.
fn be_guest(case: &Case, folder: &Path) -> ExitCode {
    let mut refused = folder.join("root/refused");
    let threads = File::open("/proc/self/task").expect("a /proc");
    match load_and_run(case, folder, &mut refused) {
        Ok(exit) => {
            if let Exit::Trap(message) = &exit {
                eprintln!("{message}");
            }
            // A folder's links are itself, its name and its sub-folders: one per thread.
            assert_eq!(threads.metadata().expect("still there").nlink() - 2, 1, "threads");
            ExitCode::from(exit.status())
        }
        Err(error) => {
            fs::write(refused, format!("{error:#}")).expect("room for a sentence");
            ExitCode::FAILURE
        }
    }
}

/// `refused` is where a sentence goes, seen from the root of the moment.
fn load_and_run(case: &Case, folder: &Path, refused: &mut PathBuf) -> anyhow::Result<Exit> {
    let mut wasm = Vec::new();
    match &case.source {
        Source::Text(text) => wasm = wat::parse_str(text)?,
        Source::Guest(path) => {
            File::open(test_folder().join("guests").join(path))?.read_to_end(&mut wasm)?;
        }
    }
    let function = case.entry.split_once('#').map(|(_, function)| function);
    let world = World::detect(&wasm, function)?;
    let engine = Wasmtime::new()?;
    let code = File::open(folder.join("code"))?;
    #[expect(unsafe_code, reason = "bytes become code here")]
    // SAFETY: the parent wrote them with Wasmtime::compile of this very program.
    let code = unsafe { Compiled::vouched(code) };
    let guest = guest(case, world);
    let mapped = engine.map(code, &guest)?;
    let bound =
        File::options().read(true).write(true).create(true).truncate(true).open(folder.join("bound"))?;
    Bound::write(&bound, None)?;
    std::os::unix::fs::chroot(folder.join("root"))
        .context("cannot change the root; this test wants root's rights")?;
    std::env::set_current_dir("/")?;
    *refused = "/refused".into();
    let equipment = Equipment { bound: Bound::in_file(bound), sockets: Vec::new(), stop: None };
    Ok(mapped.load(guest, equipment)?.run())
}

fn guest(case: &Case, world: World) -> Guest {
    let access = |writable| if writable { Access::ReadWrite } else { Access::ReadOnly };
    let root = Preopen { path: "/".into(), access: access(!case.readonly_rootfs) };
    let mounts = case.mounts.iter();
    let mounts = mounts.map(|mount| Preopen { path: (&mount.path).into(), access: access(mount.writable) });
    let path = case.entry.split('#').next().unwrap_or_default().to_owned();
    let pair = |pair: &String| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Guest {
        world,
        args: std::iter::once(path).chain(case.args.clone()).collect(),
        env: case.env.iter().filter_map(pair).collect(),
        cwd: case.cwd.clone().unwrap_or_else(|| "/".into()),
        preopens: std::iter::once(root).chain(mounts).collect(),
        listens: Vec::new(),
        http: None,
        outbound: Outbound::everything(),
    }
}
