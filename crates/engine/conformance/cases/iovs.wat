;; Places that hold nothing are passed over when something is written from several.
;; EXIT: 0
;; STDOUT: one place
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovecs, 32 bytes done, 64 text.
  (data (i32.const 0) "\40\00\00\00\00\00\00\00") ;; nothing
  (data (i32.const 8) "\40\00\00\00\0a\00\00\00") ;; 10 bytes at 64
  (data (i32.const 16) "\40\00\00\00\00\00\00\00") ;; nothing
  (data (i32.const 64) "one place\n")
  (func (export "_start")
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 3) (i32.const 32))
      (then (call $proc_exit (i32.const 1))))
    (if (i32.ne (i32.load (i32.const 32)) (i32.const 10))
      (then (call $proc_exit (i32.const 2))))))
