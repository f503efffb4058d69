;; Both clocks report their resolution, one second at most.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "clock_res_get"
    (func $clock_res_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (call $resolution (i32.const 0))
    (call $resolution (i32.const 1)))
  (func $resolution (param $clock i32)
    (if (call $clock_res_get (local.get $clock) (i32.const 0)) (then (call $proc_exit (i32.const 1))))
    (if (i64.gt_u (i64.sub (i64.load (i32.const 0)) (i64.const 1)) (i64.const 999_999_999))
      (then (call $proc_exit (i32.const 2))))))
