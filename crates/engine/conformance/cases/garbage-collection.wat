;; The collected types of Kotlin, Dart and Scheme are on.
;; EXIT: 42
(module
  (type $box (struct (field $value (mut i32))))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $box (ref null $box))
    (local.set $box (struct.new $box (i32.const 41)))
    (struct.set $box $value (local.get $box)
      (i32.add (struct.get $box $value (local.get $box)) (i32.const 1)))
    (call $proc_exit (struct.get $box $value (local.get $box)))))
