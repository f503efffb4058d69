;; A memory grows as far as the container's limit lets it: beyond, the answer is -1, and it stays as it was.
;; MEMORY: 32 MiB
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (call $same (i32.const 1) (memory.grow (i32.const 256)) (i32.const 1)) ;; 16 MiB more
    (call $same (i32.const 2) (memory.grow (i32.const 256)) (i32.const -1))
    (call $same (i32.const 3) (memory.size) (i32.const 257))
    (i32.store (i32.const 16842748) (i32.const 7)) ;; its last bytes
    (call $same (i32.const 4) (i32.load (i32.const 16842748)) (i32.const 7)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
