;; A named function that exits ends the task with its code.
;; ENTRY: /cases/func-exit.wasm#leave
;; EXIT: 5
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "leave") (call $proc_exit (i32.const 5))))
