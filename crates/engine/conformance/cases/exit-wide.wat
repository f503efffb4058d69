;; Of an exit code that is wider than a byte the low eight bits are the task's, as of any process's.
;; EXIT: 3
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $proc_exit (i32.const 259))))
