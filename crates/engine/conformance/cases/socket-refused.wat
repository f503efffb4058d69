;; A connection to a port without a listener is refused: CONNREFUSED.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind"
    (func $sock_bind (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_connect"
    (func $sock_connect (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getlocaladdr"
    (func $sock_getlocaladdr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getpeeraddr"
    (func $sock_getpeeraddr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind, 32 a port.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (func (export "_start") (local $fd i32)
    (local.set $fd (call $open))
    (call $same (i32.const 1) (call $sock_connect (local.get $fd) (i32.const 0) (call $port (call $bound))) (i32.const 14))
    (call $same (i32.const 2) (call $sock_getpeeraddr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 53))
    (call $same (i32.const 3) (call $sock_connect (local.get $fd) (i32.const 0) (i32.const 65536)) (i32.const 28)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new stream socket of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24)))
  ;; A stream socket at a free port of 127.0.0.1.
  (func $bound (result i32) (local $fd i32)
    (local.set $fd (call $open))
    (call $same (i32.const 102) (call $sock_bind (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const 0))
    (local.get $fd))
  (func $port (param $fd i32) (result i32)
    (call $same (i32.const 103)
      (call $sock_getlocaladdr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 0))
    (i32.load (i32.const 32))))
