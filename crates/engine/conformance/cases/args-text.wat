;; Arguments arrive byte by byte: with spaces, with nothing in them, in any script. Their number is the exit code.
;; ARG: two words
;; ARG:
;; ARG: Grüße, 世界
;; EXIT: 4
;; STDOUT: /cases/args-text.wasm
;; STDOUT: two words
;; STDOUT:
;; STDOUT: Grüße, 世界
(module
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get"
    (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 count, 12 bytes done, 1024 pointers, 4096 the arguments, each ended by a NUL byte.
  (func (export "_start") (local $at i32)
    (drop (call $args_sizes_get (i32.const 8) (i32.const 4)))
    (drop (call $args_get (i32.const 1024) (i32.const 4096)))
    (i32.store (i32.const 0) (i32.const 4096))
    (loop $next
      (if (i32.eqz (i32.load8_u offset=4096 (local.get $at)))
        (then (i32.store8 offset=4096 (local.get $at) (i32.const 10))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.load (i32.const 4)))))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
    (call $proc_exit (i32.load (i32.const 8)))))
