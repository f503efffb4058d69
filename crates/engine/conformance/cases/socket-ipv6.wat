;; IPv6 has 16 octets in network order, and is called 6 by those who ask for an address.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind"
    (func $sock_bind (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_listen"
    (func $sock_listen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_connect"
    (func $sock_connect (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept"
    (func $sock_accept (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getlocaladdr"
    (func $sock_getlocaladdr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getpeeraddr"
    (func $sock_getpeeraddr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 32 another, 48 its octets, 64 a descriptor, 68 a kind, 72 a port.
  (data (i32.const 0) "\10\00\00\00\10\00\00\00") ;; address: 16 octets at 16
  (data (i32.const 31) "\01")
  (data (i32.const 32) "\30\00\00\00\10\00\00\00") ;; another: 16 octets at 48
  (func (export "_start") (local $listener i32) (local $client i32) (local $port i32)
    (call $same (i32.const 1) (call $sock_open (i32.const 2) (i32.const 2) (i32.const 64)) (i32.const 0))
    (local.set $listener (i32.load (i32.const 64)))
    (call $same (i32.const 2) (call $sock_bind (local.get $listener) (i32.const 0) (i32.const 0)) (i32.const 0))
    (call $same (i32.const 3) (call $sock_listen (local.get $listener) (i32.const 1)) (i32.const 0))
    (call $same (i32.const 4) (call $sock_getlocaladdr (local.get $listener) (i32.const 32) (i32.const 68) (i32.const 72)) (i32.const 0))
    (call $same (i32.const 5) (i32.load (i32.const 68)) (i32.const 6))
    (call $same (i32.const 6) (i32.load8_u (i32.const 63)) (i32.const 1))
    (call $same (i32.const 7) (call $sock_open (i32.const 2) (i32.const 2) (i32.const 64)) (i32.const 0))
    (local.set $client (i32.load (i32.const 64)))
    (call $same (i32.const 8) (call $sock_connect (local.get $client) (i32.const 0) (i32.load (i32.const 72))) (i32.const 0))
    (call $same (i32.const 9) (call $sock_accept (local.get $listener) (i32.const 64)) (i32.const 0))
    (i32.store8 (i32.const 63) (i32.const 0))
    (local.set $port (i32.load (i32.const 72)))
    (call $same (i32.const 10) (call $sock_getpeeraddr (local.get $client) (i32.const 32) (i32.const 68) (i32.const 72)) (i32.const 0))
    (call $same (i32.const 11) (i32.load8_u (i32.const 63)) (i32.const 1))
    (call $same (i32.const 12) (i32.load (i32.const 72)) (local.get $port))
    (i32.store (i32.const 36) (i32.const 4)) ;; it does not fit into four octets
    (call $same (i32.const 13) (call $sock_getpeeraddr (local.get $client) (i32.const 32) (i32.const 68) (i32.const 72)) (i32.const 48)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
