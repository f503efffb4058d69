;; Places outside the memory are FAULT, numbers at odd places ADDRNOTAVAIL; nothing happens then.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind"
    (func $sock_bind (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getlocaladdr"
    (func $sock_getlocaladdr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getsockopt"
    (func $sock_getsockopt (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_setsockopt"
    (func $sock_setsockopt (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind, 32 a port.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (func (export "_start") (local $fd i32)
    (call $same (i32.const 1) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 65536)) (i32.const 21))
    (call $same (i32.const 2) (call $sock_open (i32.const 1) (i32.const 2) (i32.const -4)) (i32.const 21))
    (call $same (i32.const 3) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 26)) (i32.const 4))
    (call $same (i32.const 4) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 65534)) (i32.const 4))
    (local.set $fd (call $open))
    (call $same (i32.const 5) (local.get $fd) (i32.const 1048576)) ;; the first: none of those was opened
    (call $same (i32.const 6) (call $sock_bind (local.get $fd) (i32.const 65536) (i32.const 0)) (i32.const 21))
    (call $same (i32.const 7) (call $sock_bind (local.get $fd) (i32.const 2) (i32.const 0)) (i32.const 4))
    (i32.store (i32.const 0) (i32.const 65534)) ;; four octets there are two too many
    (call $same (i32.const 8) (call $sock_bind (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const 21))
    (i32.store (i32.const 0) (i32.const -1))
    (call $same (i32.const 9) (call $sock_bind (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const 21))
    (call $same (i32.const 10) (call $sock_getlocaladdr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 21))
    (i32.store (i32.const 0) (i32.const 17)) ;; octets may be anywhere
    (call $same (i32.const 11) (call $sock_getlocaladdr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 30)) (i32.const 4))
    (call $same (i32.const 12) (call $sock_getlocaladdr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 0))
    (call $same (i32.const 13) (call $sock_getsockopt (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 32) (i32.const 65536)) (i32.const 21))
    (call $same (i32.const 14) (call $sock_setsockopt (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 65534) (i32.const 4)) (i32.const 21)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new stream socket of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24))))
