//! A hostile guest on Wasmtime: every function of preview 1 and of the sockets, with arguments of any kind.
//!
//! The guest is a module that reads a program from `/in` and interprets it: the input's first byte selects the versions
//! of the functions that have two, the rest is the program. Each step is a byte that names a function, and its
//! arguments; the step after the last function stores a number. Nothing waits: descriptors that could are made
//! non-blocking before use, and every poll has a clock among its subscriptions that is due.

#![expect(unsafe_code, reason = "code that this process compiled is vouched for")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;

use anyhow::Context;
use container::channel::memory_file;
use engine::{Bound, Compiled, Engine, Equipment};
use engine_wasmtime::Wasmtime;
use workload::{Guest, World};

use crate::Run;

/// Functions with their parameters: `i` for 32 bits, `l` for 64.
const FUNCTIONS: [(&str, &str); 61] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
    ("sock_accept_v2", "iii"),
    ("sock_bind", "iii"),
    ("sock_bind_v2", "iii"),
    ("sock_connect", "iii"),
    ("sock_connect_v2", "iii"),
    ("sock_getaddrinfo", "iiiiiiii"),
    ("sock_getlocaladdr_v2", "iii"),
    ("sock_getpeeraddr_v2", "iii"),
    ("sock_getsockopt", "iiiii"),
    ("sock_listen", "ii"),
    ("sock_listen_v2", "ii"),
    ("sock_open", "iii"),
    ("sock_open_v2", "iii"),
    ("sock_recv_from_v2", "iiiiiiii"),
    ("sock_recv_v2", "iiiiii"),
    ("sock_send_to", "iiiiiii"),
    ("sock_send_to_v2", "iiiiiii"),
    ("sock_send_v2", "iiiii"),
    ("sock_setsockopt", "iiiii"),
];
/// Functions whose type selects the version.
const VERSIONS: [[(&str, &str); 4]; 2] = [
    [
        ("sock_accept", "ii"),
        ("sock_recv_from", "iiiiiii"),
        ("sock_getlocaladdr", "iiii"),
        ("sock_getpeeraddr", "iiii"),
    ],
    [
        ("sock_accept", "iii"),
        ("sock_recv_from", "iiiiiiii"),
        ("sock_getlocaladdr", "iii"),
        ("sock_getpeeraddr", "iii"),
    ],
];
/// Functions that are called in another way: see [`call`].
const POLLS: [&str; 2] = ["poll_oneoff", "epoll_oneoff"];
/// The maximum length of a program.
const LONGEST: usize = 4_000;

/// The guest's container.
const SPEC: &str = r#"{"ociVersion":"1.0.2","root":{"path":"r"},
    "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["a","b c"],"env":["A=b"]}}"#;

/// A compiled module.
struct Ready {
    world: World,
    code: File,
}

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    let engine = Wasmtime::new()?;
    let compile = |versions: &[(&str, &str)]| -> anyhow::Result<Ready> {
        let wasm = wat::parse_str(text(versions))?;
        let world = World::detect(&wasm, None)?;
        let mut code = tempfile::tempfile()?;
        code.write_all(&engine.compile(&wasm, &world)?)?;
        Ok(Ready { world, code })
    };
    let modules = [compile(&VERSIONS[0])?, compile(&VERSIONS[1])?];
    Ok(Box::new(move |bytes| {
        let Some((version, program)) = bytes.split_first() else { return };
        let written = fs::write("/in", &program[..program.len().min(LONGEST)]);
        assert!(written.is_ok(), "the directory is ours: {written:?}");
        let ran = run(&engine, &modules[usize::from(version & 1)]);
        assert!(ran.is_ok(), "the module is as it was: {ran:?}");
        super::tidy_up();
    }))
}

fn run(engine: &Wasmtime, module: &Ready) -> anyhow::Result<()> {
    // SAFETY: `make` wrote what this very engine compiled, into a file without a name.
    let code = unsafe { Compiled::vouched(module.code.try_clone()?) };
    let bound = memory_file("bound")?;
    Bound::write(&bound, Some(1 << 20))?;
    let workload = super::workload(SPEC.as_bytes()).context("the target's own spec is wrong")?;
    let guest = Guest::of(&workload, module.world.clone())?;
    let equipment = Equipment { bound: Bound::in_file(bound), sockets: vec![], stop: None };
    // How the guest ends does not matter.
    let _ = engine.load(code, guest, equipment).context("cannot load the guest")?.run();
    Ok(())
}

/// The module's text.
fn text(versions: &[(&str, &str)]) -> String {
    let polls = POLLS.map(|name| (name, "iiii"));
    let flags = ("fd_fdstat_set_flags", "ii");
    let functions: Vec<_> = FUNCTIONS.iter().chain(versions).chain(&polls).chain([&flags]).copied().collect();
    let mut text = "(module\n".to_owned();
    for (name, parameters) in &functions {
        let types: String =
            parameters.chars().map(|kind| if kind == 'l' { " i64" } else { " i32" }).collect();
        let _ = writeln!(
            text,
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param{types}) (result i32)))"
        );
    }
    text += HEAD;
    for (number, (name, parameters)) in functions.iter().enumerate() {
        let _ = writeln!(
            text,
            "(if (i32.eq (local.get $op) (i32.const {number})) (then {}))",
            call(name, parameters)
        );
    }
    let _ = writeln!(
        text,
        "(if (i32.ge_u (local.get $op) (i32.const {})) (then (i32.store (call $arg) (call $arg))))",
        functions.len()
    );
    text + "(br $next)))\n(data (i32.const 16) \"in\"))"
}

/// The memory's first bytes serve to read the program. An argument is a byte with its kind, and then a byte, a byte
/// times eight, two bytes, or four.
const HEAD: &str = r#"
(memory (export "memory") 2)
(global $pc (mut i32) (i32.const 65536))
(global $end (mut i32) (i32.const 65536))
(func $arg (result i32) (local $kind i32) (local $at i32)
  (local.set $kind (i32.and (i32.load8_u (global.get $pc)) (i32.const 3)))
  (local.set $at (i32.add (global.get $pc) (i32.const 1)))
  (if (i32.lt_u (local.get $kind) (i32.const 2)) (then
    (global.set $pc (i32.add (local.get $at) (i32.const 1)))
    (return (i32.shl (i32.load8_u (local.get $at)) (i32.mul (local.get $kind) (i32.const 3))))))
  (if (i32.eq (local.get $kind) (i32.const 2)) (then
    (global.set $pc (i32.add (local.get $at) (i32.const 2)))
    (return (i32.load16_u (local.get $at)))))
  (global.set $pc (i32.add (local.get $at) (i32.const 4)))
  (i32.load (local.get $at)))
(func (export "_start") (local $op i32) (local $0 i32)
  (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 4000))
  (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 2) (i32.const 0)
    (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
  (drop (call $fd_read (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
  (global.set $end (i32.add (i32.const 65536) (i32.load (i32.const 12))))
  (drop (call $fd_close (i32.const 0))) (drop (call $fd_close (i32.const 1))) (drop (call $fd_close (i32.const 2)))
  (loop $next
    (if (i32.ge_u (global.get $pc) (global.get $end)) (then (return)))
    (local.set $op (i32.load8_u (global.get $pc)))
    (global.set $pc (i32.add (global.get $pc) (i32.const 1)))
"#;

/// A call with arguments from the program, which cannot block.
fn call(name: &str, parameters: &str) -> String {
    let argument = |kind| if kind == 'l' { " (i64.extend_i32_s (call $arg))" } else { " (call $arg)" };
    let Some(others) = parameters.get(1..) else { return format!("(drop (call ${name}))") };
    let rest: String = others.chars().map(argument).collect();
    // The first subscription of a poll becomes a clock that is due, if there is room for one.
    let first = if POLLS.contains(&name) {
        "(local.set $0 (i32.and (local.get $0) (i32.const 0xfff8)))
         (memory.fill (local.get $0) (i32.const 0) (i32.const 48))"
    } else if name.starts_with("sock_") || name.starts_with("fd_") {
        "(drop (call $fd_fdstat_set_flags (local.get $0) (i32.const 4)))"
    } else {
        ""
    };
    let rest = if name == "fd_fdstat_set_flags" { "(i32.or (call $arg) (i32.const 4))".into() } else { rest };
    format!("(local.set $0 (call $arg)) {first} (drop (call ${name} (local.get $0) {rest}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_a_module() {
        for versions in &VERSIONS {
            let wasm = wat::parse_str(text(versions)).unwrap();
            let World::Preview1(module) = World::detect(&wasm, None).unwrap() else { panic!("no module") };
            assert_eq!(module.foreign, Vec::<String>::new());
        }
    }
}
