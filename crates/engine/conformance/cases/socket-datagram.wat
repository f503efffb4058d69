;; The second version returns a datagram's sender, its port in host order; what does not fit is truncated, and flagged.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open"
    (func $sock_open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind"
    (func $sock_bind (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_listen"
    (func $sock_listen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getlocaladdr"
    (func $sock_getlocaladdr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send_to"
    (func $sock_send_to (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv_from"
    (func $sock_recv_from (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind or flags, 32 a port, 36 how many bytes, 40 and
  ;; 48 iovecs, 56 address of a storage, 64 and 80 text, 128 the storage.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (data (i32.const 40) "\40\00\00\00\04\00\00\00") ;; 4 bytes at 64
  (data (i32.const 48) "\50\00\00\00\03\00\00\00") ;; 3 bytes at 80
  (data (i32.const 56) "\80\00\00\00\80\00\00\00") ;; 128 bytes at 128
  (data (i32.const 64) "ping")
  (func (export "_start") (local $one i32) (local $two i32) (local $port i32)
    (local.set $one (call $bound))
    (local.set $two (call $bound))
    (local.set $port (call $port (local.get $one)))
    (call $same (i32.const 1) (call $sock_send_to (local.get $one) (i32.const 40) (i32.const 1) (i32.const 0) (call $port (local.get $two)) (i32.const 0) (i32.const 36)) (i32.const 0))
    (call $same (i32.const 2) (call $sock_recv_from (local.get $two) (i32.const 48) (i32.const 1) (i32.const 56) (i32.const 0) (i32.const 32) (i32.const 36) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 3) (i32.load (i32.const 36)) (i32.const 3))
    (call $same (i32.const 4) (i32.load16_u (i32.const 28)) (i32.const 1)) ;; cut
    (call $same (i32.const 5) (i32.load (i32.const 32)) (local.get $port))
    (call $same (i32.const 6) (i32.load16_u (i32.const 128)) (i32.const 1)) ;; IPv4
    (call $same (i32.const 7) (i32.load offset=2 (i32.const 128)) (i32.const 16777343))
    (call $same (i32.const 8) (call $sock_send_to (local.get $one) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 65536) (i32.const 0) (i32.const 36)) (i32.const 28))
    (call $same (i32.const 9) (call $sock_send (local.get $one) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 36)) (i32.const 17)) ;; DESTADDRREQ
    (call $same (i32.const 10) (call $sock_listen (local.get $one) (i32.const 1)) (i32.const 58))) ;; NOTSUP
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; A new socket for datagrams of IPv4.
  (func $open (result i32)
    (call $same (i32.const 101) (call $sock_open (i32.const 1) (i32.const 1) (i32.const 24)) (i32.const 0))
    (i32.load (i32.const 24)))
  ;; One at a free port of 127.0.0.1.
  (func $bound (result i32) (local $fd i32)
    (local.set $fd (call $open))
    (call $same (i32.const 102) (call $sock_bind (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const 0))
    (local.get $fd))
  (func $port (param $fd i32) (result i32)
    (call $same (i32.const 103)
      (call $sock_getlocaladdr (local.get $fd) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 0))
    (i32.load (i32.const 32))))
