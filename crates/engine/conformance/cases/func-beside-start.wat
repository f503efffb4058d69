;; The function that the entrypoint names runs in place of _start, not after it.
;; ENTRY: /cases/func-beside-start.wasm#answer
;; EXIT: 0
;; STDOUT: 42
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\03\00\00\00") ;; iovec: 3 bytes at 16
  (data (i32.const 16) "42\n")
  (func (export "_start") (unreachable))
  (func (export "answer")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
