;; A start section runs once the task is started, before _start, and not while it is created.
;; EXIT: 0
;; STDOUT: first
;; STDOUT: second
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\06\00\00\00") ;; iovec: 6 bytes at 32
  (data (i32.const 8) "\30\00\00\00\07\00\00\00") ;; iovec: 7 bytes at 48
  (data (i32.const 32) "first\n")
  (data (i32.const 48) "second\n")
  (start $first)
  (func $first
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
