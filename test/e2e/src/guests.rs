//! The programs that the scenarios run: small Wasm guests written here as text, built ones from test/guests, and
//! native programs that do the same, so that one scenario serves both.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The same behaviour in two kinds of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A Wasm module.
    Wasm,
    /// A Linux program.
    Native,
}

impl Guest {
    /// `wasm` or `native`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Native => "native",
        }
    }

    /// Prints `hello` and ends.
    pub fn hello(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/hello.wasm"],
            Self::Native => &["/bin/echo", "hello"],
        }
    }

    /// Prints `ready` and sleeps until killed.
    pub fn ready(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/ready.wasm"],
            Self::Native => &["/bin/sh", "-c", "echo ready; exec sleep 1000"],
        }
    }

    /// Copies its stdin to its stdout.
    pub fn cat(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/cat.wasm"],
            Self::Native => &["/bin/cat"],
        }
    }

    /// Ends with code 3.
    pub fn three(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/cases/exit-3.wasm"],
            Self::Native => &["/bin/sh", "-c", "exit 3"],
        }
    }

    /// Writes 100 mebibytes.
    pub fn flood(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/flood.wasm"],
            Self::Native => &[
                "/bin/sh",
                "-c",
                "i=0; while [ $i -lt 100 ]; do head -c 1048576 /dev/zero; i=$((i+1)); done",
            ],
        }
    }

    /// Prints `ready` and ends with 143 on SIGTERM.
    pub fn polite(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/ready.wasm"],
            Self::Native => &["/bin/sh", "-c", "trap 'exit 143' TERM; echo ready; sleep 1000 & wait"],
        }
    }

    /// Creates `/outbox/made`; `/outbox` is a mount.
    pub fn make(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/make.wasm"],
            Self::Native => &["/bin/touch", "/outbox/made"],
        }
    }
}

/// The built guests the scenarios use, by the name of their directory.
const BUILT: [&str; 18] = [
    "command-p3",
    "files-p1",
    "files-p2",
    "http-all",
    "http-hello",
    "http-p3",
    "listener-std",
    "lookup-p2",
    "poll-torture",
    "socket-client",
    "socket-hello",
    "socket-hyper",
    "socket-tcp-proxy",
    "socket-udp-echo",
    "socket-unix",
    "tcp-client-p2",
    "tcp-echo-p2",
    "udp-echo-p2",
];

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

/// One clock subscription of an hour, in a loop: waits without work.
const READY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00ready\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 80) (i32.const 1)) (; a monotonic clock ;)
    (i64.store (i32.const 88) (i64.const 3600000000000))
    (loop $sleep
      (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))
      (br $sleep))))"#;

/// Opens `secret` below the first preopen, `/`; ends with the error number, 2 for "permission denied".
const SECRET: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "secret")
  (func (export "_start")
    (call $exit (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 6) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))))"#;

/// Opens the device that its first argument names, below the first preopen, `/`, for reading; ends with the error
/// number: 2 for "permission denied", 63 for "not permitted".
const OPENS: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32) (local $end i32)
    (drop (call $args (i32.const 0) (i32.const 64)))
    (local.set $at (i32.load (i32.const 4)))
    (local.set $end (local.get $at))
    (loop $more
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $more (i32.load8_u (local.get $end))))
    (call $exit (call $open (i32.const 3) (i32.const 1) (local.get $at)
      (i32.sub (local.get $end) (local.get $at)) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))))"#;

/// Looks for the preopen with a name of seven letters, `/outbox`, and creates `made` in it; ends
/// with the error number of the look-up or of the creation.
const MAKE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "made")
  (func (export "_start") (local $fd i32) (local $error i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (local.set $error (call $prestat (local.get $fd) (i32.const 16)))
      (if (local.get $error) (then (call $exit (local.get $error))))
      (if (i32.ne (i32.load (i32.const 20)) (i32.const 7))
        (then (local.set $fd (i32.add (local.get $fd) (i32.const 1))) (br $next))))
    (call $exit (call $open (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))))"#;

/// Prints `etc/hosts` below the first preopen, `/`, then writes it back with an `X` at its
/// beginning; ends with the error number of the first opening that fails.
const HOSTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\40\00\00\00") (; 64 bytes at 64 ;)
  (data (i32.const 16) "etc/hosts")
  (func $open (param $rights i64) (local $error i32)
    (local.set $error (call $path_open (i32.const 3) (i32.const 1) (i32.const 16) (i32.const 9)
      (i32.const 0) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 12)))
    (if (local.get $error) (then (call $exit (local.get $error)))))
  (func (export "_start")
    (call $open (i64.const 2))
    (drop (call $read (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $open (i64.const 64))
    (i32.store8 (i32.const 64) (i32.const 88))
    (drop (call $write (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Ends with the file types of its stdin and stdout, 16 times the first plus the second: a character device, as which
/// WASI reports a terminal, is 2.
const KINDS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $stat (i32.const 0) (i32.const 0)))
    (drop (call $stat (i32.const 1) (i32.const 32)))
    (call $exit (i32.add
      (i32.mul (i32.load8_u (i32.const 0)) (i32.const 16)) (i32.load8_u (i32.const 32))))))"#;

/// Grows its memory by a mebibyte at a time, writes to each page, and ends when growth fails, with the number of
/// mebibytes it got, 200 at most.
const GROW: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $got i32) (local $at i32) (local $end i32)
    (loop $more
      (local.set $at (i32.mul (memory.size) (i32.const 65536)))
      (if (i32.or (i32.eq (local.get $got) (i32.const 200))
                  (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
        (then (call $exit (local.get $got))))
      (local.set $got (i32.add (local.get $got) (i32.const 1)))
      (local.set $end (i32.add (local.get $at) (i32.const 1048576)))
      (loop $touch
        (i32.store8 (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $touch (i32.lt_u (local.get $at) (local.get $end))))
      (br $more))))"#;

/// Prints `ready` and waits for a line; then grows by 32 mebibytes, and ends with 0 if it got them.
const GROW_LATER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00ready\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (call $exit (i32.eq (memory.grow (i32.const 512)) (i32.const -1)))))"#;

/// Writes 100 MB, each mebibyte of another letter, and ends.
const FLOOD: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (func (export "_start") (local $round i32) (local $left i32)
    (loop $more
      (memory.fill (i32.const 65536)
        (i32.add (i32.const 65) (i32.rem_u (local.get $round) (i32.const 26))) (i32.const 1048576))
      (local.set $left (i32.const 1048576))
      (loop $rest
        (i32.store (i32.const 0) (i32.sub (i32.const 1114112) (local.get $left)))
        (i32.store (i32.const 4) (local.get $left))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
        (br_if $rest (local.get $left)))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $round) (i32.const 100))))))"#;

/// Copies its stdin to its stdout.
const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $next
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.eqz (i32.load (i32.const 8))) (then (return)))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
      (br $next))))"#;

const IMPORT: &str = r#"(module
  (import "no_such_world" "no_such_function" (func $none))
  (memory (export "memory") 1)
  (func (export "_start") (call $none)))"#;

const TRAP: &str = r#"(module
  (memory (export "memory") 1)
  (func $deep unreachable)
  (func (export "_start") (call $deep)))"#;

/// Grows its memory by 1 MiB at a time; ends with 0 if growth fails above 4 and below 64 MiB.
const GROW_LAZILY: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $next
      (if (i32.ge_u (memory.size) (i32.const 1024)) (then (call $exit (i32.const 1))))
      (br_if $next (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (if (i32.lt_u (memory.size) (i32.const 64)) (then (call $exit (i32.const 2))))))"#;

/// Closes its listener, descriptor 3; ends with the error number of its status afterwards.
const UNLISTEN: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $close (i32.const 3)) (then unreachable))
    (call $exit (call $stat (i32.const 3) (i32.const 0)))))"#;

/// Polls its stdin and its listeners at once, and prints the events.
const WATCH: &str = include_str!("guests/watch.wat");
const NULL: &str = include_str!("guests/null.wat");

/// The bytes of `hello`.
///
/// # Errors
/// When its text is invalid.
pub fn hello() -> Result<Vec<u8>> {
    Ok(wat::parse_str(HELLO)?)
}

/// Every guest by its name in the image.
///
/// # Errors
/// When a text is invalid or a built guest is missing.
pub fn all(dir: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let texts = [
        ("cat", CAT),
        ("flood", FLOOD),
        ("grow", GROW),
        ("grow-lazily", GROW_LAZILY),
        ("grow-later", GROW_LATER),
        ("kinds", KINDS),
        ("hello", HELLO),
        ("hosts", HOSTS),
        ("import", IMPORT),
        ("make", MAKE),
        ("null", NULL),
        ("opens", OPENS),
        ("ready", READY),
        ("secret", SECRET),
        ("trap", TRAP),
        ("unlisten", UNLISTEN),
        ("watch", WATCH),
    ];
    let mut guests = Vec::new();
    for (name, text) in texts {
        guests.push((name, wat::parse_str(text).with_context(|| format!("guest {name}"))?));
    }
    for name in BUILT {
        let path = dir.join(name).join(format!("{name}.wasm"));
        guests.push((name, fs::read(&path).with_context(|| path.display().to_string())?));
    }
    Ok(guests)
}
