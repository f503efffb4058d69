;; A table grows as far as the container's limit lets it, the memory counted in: beyond, the answer is -1.
;; MEMORY: 32 MiB
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 384) ;; 24 MiB
  (table $functions 1 funcref)
  (table $others 1 externref)
  (func (export "_start")
    (call $same (i32.const 1) (call $functions (i32.const 99999)) (i32.const 1))
    (call $same (i32.const 2) (call $functions (i32.const 1000000)) (i32.const -1))
    (call $same (i32.const 3) (table.size $functions) (i32.const 100000))
    (call $same (i32.const 4) (call $others (i32.const 1000000)) (i32.const -1))
    (call $same (i32.const 5) (call $others (i32.const 9999)) (i32.const 1)))
  (func $functions (param $more i32) (result i32)
    (table.grow $functions (ref.null func) (local.get $more)))
  (func $others (param $more i32) (result i32)
    (table.grow $others (ref.null extern) (local.get $more)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
