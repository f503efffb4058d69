;; Each call of preview 1 on a number that no descriptor has says so: BADF.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get"
    (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek"
    (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir"
    (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\04\00\00\00") ;; 4 bytes at 32
  (func (export "_start")
    (call $bad (i32.const 1) (call $fd_read (i32.const 77) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $bad (i32.const 2) (call $fd_write (i32.const 77) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $bad (i32.const 3) (call $fd_close (i32.const 77)))
    (call $bad (i32.const 4) (call $fd_fdstat_get (i32.const 77) (i32.const 64)))
    (call $bad (i32.const 5) (call $fd_seek (i32.const 77) (i64.const 0) (i32.const 0) (i32.const 64)))
    (call $bad (i32.const 6) (call $fd_prestat_get (i32.const 77) (i32.const 64)))
    (call $bad (i32.const 7)
      (call $fd_readdir (i32.const 77) (i32.const 64) (i32.const 64) (i64.const 0) (i32.const 8)))
    (call $bad (i32.const 8) (call $path_unlink_file (i32.const -1) (i32.const 32) (i32.const 4))))
  (func $bad (param $step i32) (param $errno i32)
    (if (i32.ne (local.get $errno) (i32.const 8)) (then (call $proc_exit (local.get $step))))))
