;; SIGTERM ends a guest that waits for a timer, long before the timer does.
;; SIGNAL: SIGTERM
;; EXIT: 143
;; STDOUT: ready
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00") ;; iovec: 6 bytes at 16
  (data (i32.const 16) "ready\n")
  ;; One subscription at 64: clock 1, monotonic, an hour from now. Its event goes to 128.
  (data (i32.const 80) "\01\00\00\00")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i64.store (i32.const 88) (i64.const 3600_000_000_000))
    (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8)))))
