;; A timer ends at its deadline and not before; of two, only the first is reported. One in the past ends at once.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 and 8 times in nanoseconds, 16 the number of events, 64 subscriptions, 256 events. A subscription has its
  ;; number first, its clock at 16, its time at 24, and at 40 whether that is absolute.
  (func (export "_start")
    (call $now (i32.const 0))
    (i64.store (i32.const 64) (i64.const 7))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.const 60_000_000_000))
    (i64.store (i32.const 112) (i64.const 8))
    (i32.store (i32.const 128) (i32.const 1))
    (i64.store (i32.const 136) (i64.const 20_000_000))
    (call $same (i32.const 1)
      (call $poll_oneoff (i32.const 64) (i32.const 256) (i32.const 2) (i32.const 16)) (i32.const 0))
    (call $same (i32.const 2) (i32.load (i32.const 16)) (i32.const 1))
    (call $same (i32.const 3) (i32.load (i32.const 256)) (i32.const 8))
    (call $same (i32.const 4) (i32.load (i32.const 264)) (i32.const 0)) ;; no error, and a clock's
    (call $now (i32.const 8))
    (if (i64.lt_u (i64.sub (i64.load (i32.const 8)) (i64.load (i32.const 0))) (i64.const 20_000_000))
      (then (call $proc_exit (i32.const 5))))
    (i32.store (i32.const 80) (i32.const 0)) ;; the wall clock, in 1970
    (i64.store (i32.const 88) (i64.const 1))
    (i32.store16 (i32.const 104) (i32.const 1))
    (call $same (i32.const 6)
      (call $poll_oneoff (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 16)) (i32.const 0))
    (call $same (i32.const 7) (i32.load (i32.const 16)) (i32.const 1))
    (call $same (i32.const 8) (i32.load (i32.const 256)) (i32.const 7)))
  (func $now (param $to i32)
    (call $same (i32.const 100)
      (call $clock_time_get (i32.const 1) (i64.const 1) (local.get $to)) (i32.const 0)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
