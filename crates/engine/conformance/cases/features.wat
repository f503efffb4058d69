;; What compilers emit today is on: SIMD, bulk memory, several results, tail calls, references.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (table $table 2 funcref)
  (elem declare func $two)
  (func (export "_start")
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 16))
    (if (i32.ne (i8x16.extract_lane_u 3 (v128.load (i32.const 0))) (i32.const 7))
      (then (call $proc_exit (i32.const 1))))
    (table.set $table (i32.const 1) (ref.func $two))
    (if (i32.ne (i32.add (call_indirect (result i32 i32) (i32.const 1))) (i32.const 3))
      (then (call $proc_exit (i32.const 2))))
    (if (i32.ne (call $count (i32.const 1_000_000)) (i32.const 0))
      (then (call $proc_exit (i32.const 3)))))
  (func $two (result i32 i32) (i32.const 1) (i32.const 2))
  ;; A million tail calls need the stack of one.
  (func $count (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (return_call $count (i32.sub (local.get $n) (i32.const 1)))))
