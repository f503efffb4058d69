;; Random bytes come in any number, to the last byte and no further.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 17)
  (func (export "_start")
    (if (call $random_get (i32.const 0) (i32.const 0x100000)) (then (call $proc_exit (i32.const 1))))
    (if (i64.eqz (i64.or (i64.load (i32.const 0xffff0)) (i64.load (i32.const 0xffff8))))
      (then (call $proc_exit (i32.const 2))))
    (if (i64.ne (i64.load (i32.const 0x100000)) (i64.const 0))
      (then (call $proc_exit (i32.const 3))))))
