;; A family or a type that there is not is INVAL, and nothing is opened.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor.
  (func (export "_start")
    (call $same (i32.const 1) (call $sock_open (i32.const 0) (i32.const 2) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 2) (call $sock_open (i32.const 4) (i32.const 2) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 3) (call $sock_open (i32.const -1) (i32.const 2) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 4) (call $sock_open (i32.const 1) (i32.const 0) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 5) (call $sock_open (i32.const 1) (i32.const 3) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 6) (call $sock_open (i32.const 2) (i32.const 65537) (i32.const 24)) (i32.const 28))
    (call $same (i32.const 7) (i32.load (i32.const 24)) (i32.const 0))
    (call $same (i32.const 13) (call $sock_open (i32.const 1) (i32.const 1) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 14) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 15) (call $sock_open (i32.const 2) (i32.const 1) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 16) (call $sock_open (i32.const 2) (i32.const 2) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 17) (call $sock_open (i32.const 3) (i32.const 1) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 18) (call $sock_open (i32.const 3) (i32.const 2) (i32.const 24)) (i32.const 0)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
