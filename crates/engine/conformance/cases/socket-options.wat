;; Options have the guest's numbers: TYPE says 1 for datagrams and 2 for a stream. Others are INVAL, BINDTODEVICE NOTSUP.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getsockopt"
    (func $sock_getsockopt (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_setsockopt"
    (func $sock_setsockopt (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 32 a value, 36 its size.
  (func (export "_start") (local $fd i32)
    (local.set $fd (call $open))
    (i32.store (i32.const 36) (i32.const 4))
    (call $same (i32.const 1) (call $sock_getsockopt (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 32) (i32.const 36)) (i32.const 0))
    (call $same (i32.const 2) (i32.load (i32.const 32)) (i32.const 2))
    (call $same (i32.const 3) (i32.load (i32.const 36)) (i32.const 4))
    (call $same (i32.const 4) (call $sock_open (i32.const 1) (i32.const 1) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 5) (call $sock_getsockopt (i32.load (i32.const 24)) (i32.const 0) (i32.const 1) (i32.const 32) (i32.const 36)) (i32.const 0))
    (call $same (i32.const 6) (i32.load (i32.const 32)) (i32.const 1))
    (call $same (i32.const 7) (call $sock_getsockopt (local.get $fd) (i32.const 0) (i32.const 15) (i32.const 32) (i32.const 36)) (i32.const 28))
    (call $same (i32.const 8) (call $sock_getsockopt (local.get $fd) (i32.const 1) (i32.const 1) (i32.const 32) (i32.const 36)) (i32.const 28))
    (call $same (i32.const 9) (call $sock_getsockopt (local.get $fd) (i32.const 0) (i32.const 14) (i32.const 32) (i32.const 36)) (i32.const 58))
    (call $same (i32.const 10) (call $sock_setsockopt (local.get $fd) (i32.const 0) (i32.const 14) (i32.const 32) (i32.const 4)) (i32.const 58))
    (i32.store (i32.const 32) (i32.const 1))
    (call $same (i32.const 11) (call $sock_setsockopt (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 4)) (i32.const 0)) ;; REUSEADDR
    (call $same (i32.const 12) (call $sock_setsockopt (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 2)) (i32.const 28))
    (i32.store (i32.const 32) (i32.const 0))
    (call $same (i32.const 13) (call $sock_getsockopt (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 36)) (i32.const 0))
    (call $same (i32.const 14) (i32.load (i32.const 32)) (i32.const 1)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new stream socket of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24))))
