;; A preview 1 command prints a line and ends with 0.
;; EXIT: 0
;; STDOUT: hello from a lighter
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\15\00\00\00") ;; iovec: 21 bytes at 16
  (data (i32.const 16) "hello from a lighter\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
