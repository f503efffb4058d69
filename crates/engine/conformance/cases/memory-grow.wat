;; A memory that cannot grow answers -1 and stays as it was: no trap, and no killed process.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1))
      (then (call $proc_exit (i32.const 1))))
    (if (i32.ne (memory.size) (i32.const 1))
      (then (call $proc_exit (i32.const 2))))))
