;; The wall clock is past the year 2020, and the monotonic clock never steps back.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0, 8, 16 times in nanoseconds.
  (func (export "_start")
    (call $read (i32.const 0) (i32.const 0))
    (call $read (i32.const 1) (i32.const 8))
    (call $read (i32.const 1) (i32.const 16))
    (if (i64.lt_u (i64.load (i32.const 0)) (i64.const 1_577_836_800_000_000_000))
      (then (call $proc_exit (i32.const 1))))
    (if (i64.lt_u (i64.load (i32.const 16)) (i64.load (i32.const 8)))
      (then (call $proc_exit (i32.const 2)))))
  (func $read (param $clock i32) (param $to i32) (local $errno i32)
    (local.set $errno (call $clock_time_get (local.get $clock) (i64.const 1) (local.get $to)))
    (if (local.get $errno) (then (call $proc_exit (local.get $errno))))))
