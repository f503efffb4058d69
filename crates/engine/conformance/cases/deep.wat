;; A guest may go as deep as the main thread of a Linux program: here 100,000 calls, 3 MiB or more.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $depth (param $left i32) (result i32)
    (if (result i32) (local.get $left)
      (then (i32.add (i32.const 1) (call $depth (i32.sub (local.get $left) (i32.const 1)))))
      (else (i32.const 0))))
  (func (export "_start")
    (call $exit (i32.ne (call $depth (i32.const 100000)) (i32.const 100000)))))
