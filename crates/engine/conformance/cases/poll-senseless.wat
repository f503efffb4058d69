;; A poll of nothing, of an unknown kind or at places outside the memory is refused as a whole.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 40 how many, 512 subscriptions, 1024 events.
  (func (export "_start")
    (call $same (i32.const 1) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const 0) (i32.const 40)) (i32.const 28))
    (i64.store (i32.const 512) (i64.const 7))
    (i32.store8 (i32.const 520) (i32.const 3))
    (i32.store (i32.const 528) (i32.const 0))
    (call $same (i32.const 2) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 40)) (i32.const 28))
    (i32.store8 (i32.const 520) (i32.const 1))
    (call $same (i32.const 3) (call $poll_oneoff (i32.const 65512) (i32.const 1024) (i32.const 1) (i32.const 40)) (i32.const 21))
    (call $same (i32.const 4) (call $poll_oneoff (i32.const 512) (i32.const 65512) (i32.const 1) (i32.const 40)) (i32.const 21))
    (call $same (i32.const 5) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const -1) (i32.const 40)) (i32.const 21))
    (call $same (i32.const 6) (call $poll_oneoff (i32.const 516) (i32.const 1024) (i32.const 1) (i32.const 40)) (i32.const 4))
    (call $same (i32.const 7) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 65536)) (i32.const 21)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
