;; A module's memories are bounded together: the second grows only as far as the first leaves room.
;; MEMORY: 32 MiB
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 384) ;; 24 MiB
  (memory $other 1)
  (func (export "_start")
    (call $same (i32.const 1) (memory.grow $other (i32.const 128)) (i32.const -1)) ;; 8 MiB more
    (call $same (i32.const 2) (memory.grow $other (i32.const 32)) (i32.const 1))
    (call $same (i32.const 3) (memory.grow (i32.const 128)) (i32.const -1)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
