;; Stdout can be closed: writing there is BADF from then on, as closing it again is, and stderr stays open.
;; EXIT: 0
;; STDOUT:
;; STDERR: still here
(module
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 bytes done, 32 text.
  (data (i32.const 0) "\20\00\00\00\0b\00\00\00") ;; 11 bytes at 32
  (data (i32.const 32) "still here\n")
  (func (export "_start")
    (call $same (i32.const 1) (call $fd_close (i32.const 1)) (i32.const 0))
    (call $same (i32.const 2) (call $write (i32.const 1)) (i32.const 8))
    (call $same (i32.const 3) (call $fd_close (i32.const 1)) (i32.const 8))
    (call $same (i32.const 4) (call $write (i32.const 2)) (i32.const 0)))
  (func $write (param $fd i32) (result i32)
    (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
