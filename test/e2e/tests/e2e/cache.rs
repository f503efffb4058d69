//! Compiled code is cached, shared, and never trusted when it was modified in the cache.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::guests::Guest;
use e2e::process::{LIMIT, poll};
use e2e::runner::Scenario;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::data::shared_dir;
use crate::options::with;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("wasm-cache-hit", hit),
        Scenario::ours("wasm-cache-spoilt", spoilt),
        Scenario::ours("wasm-cache-off", off),
        Scenario::ours("wasm-cache-trouble", trouble),
        Scenario::ours("wasm-cache-first", first),
        Scenario::ours("wasm-cache-noexec", noexec),
        Scenario::ours("wasm-cache-full", full),
        Scenario::ours("wasm-cache-shared", shared),
        Scenario::ours("wasm-compile-bounds", bounds),
        Scenario::ours("wasm-compile-settings", settings),
    ]
}

/// A module that has not been run before, in a directory that is mounted into its container.
struct Module(PathBuf);

impl Module {
    fn new(daemon: &Containerd, name: &str, says: &str) -> Result<Self> {
        let module = Self(shared_dir(daemon, name)?);
        module.write(says)?;
        Ok(module)
    }

    fn write(&self, says: &str) -> Result<()> {
        Ok(fs::write(self.0.join("module.wat"), text(says))?)
    }

    fn says(&self, run: Run<'_>, what: &str) -> Result<()> {
        run.bind(&self.0, "/own", false).args(&["/own/module.wat"]).finish()?.ok()?.prints(what).map(drop)
    }
}

/// Settings of the guest's world are checked before the module is compiled.
fn settings(daemon: &Containerd) -> Result<()> {
    let module = Module::new(daemon, "compile-settings", "set")?;
    let before = values(daemon)?;
    let run = daemon.run("settings").annotation("lighter.wasm/tcp-listen", "nowhere");
    let refused = run.bind(&module.0, "/own", false).args(&["/own/module.wat"]).finish()?;
    let words = "the annotation lighter.wasm/tcp-listen says \"nowhere\"; it must be addresses to listen on";
    ensure!(refused.code != 0 && refused.stderr.contains(words), "{refused:?}");
    ensure!(values(daemon)? == before, "it was compiled nevertheless");
    module.says(daemon.run("settings"), "set")
}

/// A module that prints three letters.
pub fn text(says: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\08\00\00\00\04\00\00\00{says}\n")
          (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#
    )
}

/// A file of the cache, and its ctime.
type Value = (PathBuf, (i64, i64));

/// The files in the cache.
fn values(daemon: &Containerd) -> Result<Vec<Value>> {
    // The first value creates the directory.
    let entries = fs::read_dir(daemon.cache().join("values")).into_iter().flatten();
    entries
        .map(|entry| {
            let entry = entry?;
            let found = entry.metadata()?;
            Ok((entry.path(), (found.ctime(), found.ctime_nsec())))
        })
        .collect()
}

/// The file that is not in `before`; it is written while the guest runs, or after.
fn kept(daemon: &Containerd, before: &[Value]) -> Result<Value> {
    poll("the code to be cached", LIMIT, || {
        let all = values(daemon)?;
        Ok(all.into_iter().find(|value| !before.contains(value)))
    })
}

/// An unchanged module is compiled once; a changed one is compiled again.
fn hit(daemon: &Containerd) -> Result<()> {
    let before = values(daemon)?;
    let module = Module::new(daemon, "cached", "one")?;
    module.says(daemon.run("first"), "one")?;
    let value = kept(daemon, &before)?;
    let one = values(daemon)?;
    module.says(daemon.run("second"), "one")?;
    ensure!(values(daemon)? == one, "{one:?} became {:?}", values(daemon)?);
    module.write("two")?;
    module.says(daemon.run("changed"), "two")?;
    let other = kept(daemon, &one)?;
    ensure!(values(daemon)?.contains(&value) && other != value, "the old code is gone");
    Ok(())
}

/// A modified file is removed and compiled again, with a warning.
fn spoilt(daemon: &Containerd) -> Result<()> {
    let before = values(daemon)?;
    let module = Module::new(daemon, "spoilt", "abc")?;
    module.says(daemon.run("first"), "abc")?;
    let (path, made) = kept(daemon, &before)?;
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes)?;
    let mark = daemon.log_mark();
    module.says(daemon.run("again"), "abc")?;
    let log = daemon.log_tail(mark);
    ensure!(log.contains("made again"), "containerd's log says {log:?}");
    let (again, fresh) = kept(daemon, &before)?;
    ensure!(again == path && fresh != made, "{} is the old one", path.display());
    module.says(daemon.run("fine"), "abc")
}

/// With `CacheDir = 'off'` nothing is cached.
fn off(daemon: &Containerd) -> Result<()> {
    let before = values(daemon)?;
    let module = Module::new(daemon, "unkept", "off")?;
    module.says(with(daemon, "unkept", "CacheDir = 'off'\n")?, "off")?;
    module.says(with(daemon, "unkept", "CacheDir = 'off'\n")?, "off")?;
    ensure!(values(daemon)? == before, "something was cached");
    Ok(())
}

/// A cache that cannot be used fails no container; containerd's log says why.
fn trouble(daemon: &Containerd) -> Result<()> {
    let (module, mark) = (Module::new(daemon, "troubled", "run")?, daemon.log_mark());
    // The module's directory is world-writable.
    module.says(with(daemon, "troubled", &format!("CacheDir = '{}'\n", module.0.display()))?, "run")?;
    let log = daemon.log_tail(mark);
    ensure!(log.contains("compiled code is not kept"), "containerd's log says {log:?}");
    Ok(())
}

/// A module that exceeds the compiler's limits fails its own Create with a message, which is remembered.
fn bounds(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "heavy")?;
    fs::write(dir.join("heavy.wasm"), heavy(10))?;
    let run = |option: &str| {
        with(daemon, "heavy", option)?.args(&["/own/heavy.wasm"]).bind(&dir, "/own", false).finish()
    };
    run("CompileMib = 200\n")?.exits(1)?.complains("CompileMib")?;
    run("CompileMib = 200\n")?.exits(1)?.complains("CompileMib")?.complains("it is tried again in")?;
    // With other limits it is tried again.
    run("CompileSeconds = 1\n")?.exits(1)?.complains("CompileSeconds")?;
    daemon.run("light").args(Guest::Wasm.hello()).finish()?.ok()?.prints("hello").map(drop)
}

/// A module of `functions` functions of some megabytes each.
pub fn heavy(functions: u32) -> Vec<u8> {
    // local.get 0, i32.const 77, i32.add, local.set 0
    const STEP: [u8; 8] = [0x20, 0, 0x41, 0xcd, 0, 0x6a, 0x21, 0];
    let body: Vec<u8> = [1, 1, 0x7f].into_iter().chain(STEP.repeat(400_000)).chain([0x0b]).collect();
    let mut code = length(functions);
    for _ in 0..functions {
        code.extend(length(u32::try_from(body.len()).unwrap_or(0)));
        code.extend(&body);
    }
    let section = |id: u8, content: &[u8]| {
        [vec![id], length(u32::try_from(content.len()).unwrap_or(0)), content.to_vec()].concat()
    };
    let declared = [length(functions), vec![0; functions as usize]].concat();
    let exported = [&[1, 6][..], b"_start", &[0, 0]].concat();
    let types = section(1, &[1, 0x60, 0, 0]);
    [b"\0asm\x01\0\0\0".to_vec(), types, section(3, &declared), section(7, &exported), section(10, &code)]
        .concat()
}

/// An unsigned LEB128 number.
fn length(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

/// The first guest of a module maps the cached file itself: no copy stays in memory, and it cannot write to the file.
fn first(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "kept-first")?;
    // The image's module with an empty custom section added, so that it has not been run before.
    let mut module = fs::read(daemon.rootfs().join("guests/ready.wasm"))?;
    module.extend([0, 2, 1, b'x']);
    fs::write(dir.join("ready.wasm"), module)?;
    let before = values(daemon)?;
    daemon.run("first").bind(&dir, "/own", false).args(&["/own/ready.wasm"]).detach()?;
    let (path, _) = kept(daemon, &before)?;
    let number = fs::metadata(&path)?.ino().to_string();
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.task("first")?.pid))?;
    let code: Vec<&str> =
        maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&number)).collect();
    ensure!(!code.is_empty() && !maps.contains("memfd:code"), "the guest has mapped {maps}");
    ensure!(code.iter().all(|line| !line.contains("rws") && !line.contains("-ws")), "{code:?}");
    daemon.kill_and_delete("first")
}

/// Code cannot be mapped executable from a noexec mount: it is not cached there, and the log says why.
fn noexec(daemon: &Containerd) -> Result<()> {
    let (module, mark) = (Module::new(daemon, "noexec", "run")?, daemon.log_mark());
    let disk = daemon.scope.dir.join("tmp/noexec-disk");
    fs::create_dir_all(&disk)?;
    let flags = MsFlags::MS_NOEXEC;
    mount(Some("lighter"), &disk, Some("tmpfs"), flags, Some("mode=700")).context("a disk mounted noexec")?;
    let options = format!("CacheDir = '{}'\n", disk.display());
    // The second would find what the first cached.
    let ran =
        ["first", "second"].iter().try_for_each(|_| module.says(with(daemon, "noexec", &options)?, "run"));
    umount2(&disk, MntFlags::MNT_DETACH)?;
    ran?;
    let log = daemon.log_tail(mark);
    ensure!(log.contains("is mounted noexec"), "containerd's log says {log:?}");
    Ok(())
}

/// On a full disk nothing is cached: compiled code runs all the same, and the log says why.
fn full(daemon: &Containerd) -> Result<()> {
    let (module, mark) = (Module::new(daemon, "full", "run")?, daemon.log_mark());
    let disk = daemon.scope.dir.join("tmp/full-disk");
    fs::create_dir_all(&disk)?;
    mount(Some("lighter"), &disk, Some("tmpfs"), MsFlags::empty(), Some("mode=700,size=8k"))
        .context("a small disk")?;
    fs::write(disk.join("filler"), [0; 8192])?;
    let options = format!("CacheDir = '{}'\n", disk.display());
    let ran = module.says(with(daemon, "full", &options)?, "run");
    umount2(&disk, MntFlags::MNT_DETACH)?;
    ran?;
    let log = daemon.log_tail(mark);
    ensure!(log.contains("compiled code is not kept: No space left"), "containerd's log says {log:?}");
    Ok(())
}

/// Guests of one module in different pods share the pages of its code.
fn shared(daemon: &Containerd) -> Result<()> {
    // The first may run the code that was just compiled, not the cached file.
    daemon.run("zeroth").args(Guest::Wasm.ready()).detach()?;
    poll("the code to be cached", LIMIT, || Ok((!values(daemon)?.is_empty()).then_some(())))?;
    daemon.kill_and_delete("zeroth")?;
    for id in ["one", "other"] {
        daemon.run(id).args(Guest::Wasm.ready()).detach()?;
    }
    for id in ["one", "other"] {
        let pid = daemon.task(id)?.pid;
        let shared = shared_clean(&Path::new("/proc").join(pid.to_string()).join("smaps"))?;
        ensure!(shared > 0, "{id} shares no page of its code");
    }
    daemon.kill_and_delete("one")?;
    daemon.kill_and_delete("other")
}

/// How many KiB of cached code are shared with other processes.
fn shared_clean(smaps: &Path) -> Result<u64> {
    let text = fs::read_to_string(smaps).with_context(|| smaps.display().to_string())?;
    let (mut of_code, mut sum) = (false, 0);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Shared_Clean:") if of_code => {
                sum += words.next().context("a short line")?.parse::<u64>()?
            }
            Some(word) if !word.ends_with(':') => of_code = line.contains("/values/"),
            _ => {}
        }
    }
    Ok(sum)
}
