;; A negative exit code has low eight bits, too: -1 is 255.
;; EXIT: 255
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $proc_exit (i32.const -1))))
