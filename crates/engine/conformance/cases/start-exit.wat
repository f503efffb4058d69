;; A start section that exits ends the task with its code, and _start does not run.
;; EXIT: 7
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func $early (call $proc_exit (i32.const 7)))
  (start $early)
  (func (export "_start") (unreachable)))
