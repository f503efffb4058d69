;; A reactor's _initialize runs before the function that the entrypoint names.
;; ENTRY: /cases/reactor.wasm#answer
;; EXIT: 0
;; STDOUT: initialized
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\0c\00\00\00") ;; iovec: 12 bytes at 16
  (data (i32.const 16) "initialized\n")
  (global $initialized (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $initialized (i32.const 1)))
  (func (export "answer")
    (if (i32.eqz (global.get $initialized)) (then (unreachable)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
