;; A socket that was closed is gone: its number is unused, and the next socket has another.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_listen"
    (func $sock_listen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get"
    (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 40 its status.
  (func (export "_start") (local $fd i32)
    (local.set $fd (call $open))
    (call $same (i32.const 1) (call $fd_close (local.get $fd)) (i32.const 0))
    (call $same (i32.const 2) (call $fd_close (local.get $fd)) (i32.const 8))
    (call $same (i32.const 3) (call $sock_listen (local.get $fd) (i32.const 1)) (i32.const 8))
    (call $same (i32.const 4) (call $fd_fdstat_get (local.get $fd) (i32.const 40)) (i32.const 8))
    (if (i32.eq (call $open) (local.get $fd)) (then (call $proc_exit (i32.const 5)))))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new stream socket of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24))))
