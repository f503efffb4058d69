;; A number that a socket has taken from a file goes to no other file, and is free when the socket closes.
;; A file takes a number from a socket where it once was a file's; elsewhere it cannot, and the socket stays.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber"
    (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get"
    (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 48 prestat, 64 a name, 80 a status.
  (data (i32.const 64) "note")
  (func (export "_start") (local $socket i32) (local $file i32) (local $other i32)
    (local.set $socket (call $open))
    (local.set $file (call $note))
    (call $same (i32.const 1) (call $fd_renumber (local.get $file) (local.get $socket)) (i32.const 58)) ;; NOTSUP
    (call $same (i32.const 2) (call $fd_fdstat_get (local.get $socket) (i32.const 80)) (i32.const 0))
    (call $same (i32.const 3) (i32.load8_u (i32.const 80)) (i32.const 6)) ;; a stream
    (call $same (i32.const 4) (call $fd_renumber (local.get $socket) (local.get $file)) (i32.const 0))
    (call $same (i32.const 5) (call $fd_fdstat_get (local.get $socket) (i32.const 80)) (i32.const 8))
    (local.set $other (call $note))
    (if (i32.eq (local.get $other) (local.get $file)) (then (call $proc_exit (i32.const 6))))
    (call $same (i32.const 7) (call $fd_fdstat_get (local.get $file) (i32.const 80)) (i32.const 0))
    (call $same (i32.const 8) (i32.load8_u (i32.const 80)) (i32.const 6))
    (call $same (i32.const 9) (call $fd_renumber (local.get $other) (local.get $file)) (i32.const 0))
    (call $same (i32.const 10) (call $fd_fdstat_get (local.get $file) (i32.const 80)) (i32.const 0))
    (call $same (i32.const 11) (i32.load8_u (i32.const 80)) (i32.const 4)) ;; a file
    (call $same (i32.const 12) (call $fd_fdstat_get (local.get $other) (i32.const 80)) (i32.const 8))
    (call $same (i32.const 13) (call $fd_renumber (call $open) (local.get $file)) (i32.const 0))
    (call $same (i32.const 14) (call $fd_close (local.get $file)) (i32.const 0))
    (call $same (i32.const 15) (call $fd_close (local.get $file)) (i32.const 8))
    (call $same (i32.const 16) (call $fd_fdstat_get (local.get $file) (i32.const 80)) (i32.const 8)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new stream socket of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24)))
  ;; The note below the preopen with a name as long as /volume, opened.
  (func $note (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 48)) (then (unreachable)))
      (if (i32.ne (i32.load (i32.const 52)) (i32.const 7))
        (then
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br $next))))
    (call $same (i32.const 110)
      (call $path_open (local.get $fd) (i32.const 0) (i32.const 64) (i32.const 4)
        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24))
      (i32.const 0))
    (i32.load (i32.const 24))))
