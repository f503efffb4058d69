//! What the scenarios run: small Wasm guests written here as text, built ones from test/guests, and
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

    /// Creates `/outbox/made`; `/outbox` is a mount.
    pub fn make(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["/guests/make.wasm"],
            Self::Native => &["/bin/touch", "/outbox/made"],
        }
    }
}

/// The built guests the scenarios use, by the name of their folder.
const BUILT: [&str; 2] = ["tcp-client-p2", "tcp-echo-p2"];

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

/// One clock subscription of an hour, over and over: it waits without work.
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

const IMPORT: &str = r#"(module
  (import "no_such_world" "no_such_function" (func $none))
  (memory (export "memory") 1)
  (func (export "_start") (call $none)))"#;

const TRAP: &str = r#"(module
  (memory (export "memory") 1)
  (func $deep unreachable)
  (func (export "_start") (call $deep)))"#;

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
pub fn all(folder: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let texts = [
        ("hello", HELLO),
        ("hosts", HOSTS),
        ("import", IMPORT),
        ("make", MAKE),
        ("ready", READY),
        ("secret", SECRET),
        ("trap", TRAP),
    ];
    let mut guests = Vec::new();
    for (name, text) in texts {
        guests.push((name, wat::parse_str(text).with_context(|| format!("guest {name}"))?));
    }
    for name in BUILT {
        let path = folder.join(name).join(format!("{name}.wasm"));
        guests.push((name, fs::read(&path).with_context(|| path.display().to_string())?));
    }
    Ok(guests)
}
