;; What a socket is not in the state for is refused by name: NOTCONN, ISCONN, INVAL.
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
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown"
    (func $sock_shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getpeeraddr"
    (func $sock_getpeeraddr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind, 32 a port, 36 how many bytes, 40 iovec, 64 text.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (data (i32.const 40) "\40\00\00\00\04\00\00\00") ;; 4 bytes at 64
  (func (export "_start") (local $fd i32) (local $server i32)
    (local.set $fd (call $open))
    (call $same (i32.const 1) (call $sock_send (local.get $fd) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 36)) (i32.const 64)) ;; PIPE, as Linux has it
    (call $same (i32.const 2) (call $sock_recv (local.get $fd) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 36) (i32.const 32)) (i32.const 53))
    (call $same (i32.const 3) (call $sock_shutdown (local.get $fd) (i32.const 3)) (i32.const 53))
    (call $same (i32.const 4) (call $sock_getpeeraddr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 53))
    (call $same (i32.const 5) (call $sock_accept (local.get $fd) (i32.const 24)) (i32.const 28)) ;; it does not listen
    (call $pair)
    (local.set $server)
    (local.set $fd)
    (call $same (i32.const 6) (call $sock_connect (local.get $fd) (i32.const 0) (call $port (local.get $server))) (i32.const 30))
    (call $same (i32.const 7) (call $sock_bind (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const 28))
    (call $same (i32.const 8) (call $sock_listen (local.get $fd) (i32.const 1)) (i32.const 28)))
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
    (i32.load (i32.const 32)))
  ;; Two ends of a connection.
  (func $pair (result i32 i32) (local $listener i32) (local $client i32)
    (local.set $listener (call $bound))
    (call $same (i32.const 104) (call $sock_listen (local.get $listener) (i32.const 1)) (i32.const 0))
    (local.set $client (call $open))
    (call $same (i32.const 105)
      (call $sock_connect (local.get $client) (i32.const 0) (call $port (local.get $listener))) (i32.const 0))
    (call $same (i32.const 106) (call $sock_accept (local.get $listener) (i32.const 24)) (i32.const 0))
    (drop (call $fd_close (local.get $listener)))
    (local.get $client)
    (i32.load (i32.const 24))))
