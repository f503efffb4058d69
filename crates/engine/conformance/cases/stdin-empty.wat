;; An stdin that holds nothing has ended: nothing is read, and that is no error.
;; STDIN:
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 bytes done.
  (data (i32.const 0) "\20\00\00\00\10\00\00\00\ff") ;; 16 bytes at 32
  (func (export "_start")
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 1))))
    (if (i32.load (i32.const 8)) (then (call $proc_exit (i32.const 2))))))
