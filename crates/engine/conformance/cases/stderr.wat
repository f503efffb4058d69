;; What the guest writes on descriptor 2 reaches stderr, and not stdout.
;; EXIT: 0
;; STDOUT: to stdout
;; STDERR: to stderr
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\0a\00\00\00") ;; iovec: 10 bytes at 32
  (data (i32.const 8) "\30\00\00\00\0a\00\00\00") ;; iovec: 10 bytes at 48
  (data (i32.const 32) "to stdout\n")
  (data (i32.const 48) "to stderr\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 16)))))
