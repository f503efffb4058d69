;; Exceptions as compilers of C++ and Kotlin emit them are on.
;; EXIT: 42
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (tag $error (param i32))
  (func (export "_start")
    (block $caught (result i32)
      (try_table (catch $error $caught) (throw $error (i32.const 42)))
      (i32.const 1))
    (call $proc_exit)))
