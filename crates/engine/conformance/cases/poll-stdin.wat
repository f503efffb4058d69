;; Stdin is polled together with an idle socket: readable data and EOF are both reported.
;; Whether stdin is a pipe or a file makes no difference.
;; STDIN: one\ntwo\n
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
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind, 32 a port, 40 how many, 48 iovec, 80 text, 512
  ;; subscriptions, 1024 events.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (data (i32.const 48) "\50\00\00\00\40\00\00\00") ;; 64 bytes at 80
  (func (export "_start") (local $fd i32) (local $read i32)
    (local.set $fd (call $bound))
    (call $same (i32.const 1) (call $sock_listen (local.get $fd) (i32.const 1)) (i32.const 0))
    (i64.store (i32.const 512) (i64.const 7))
    (i32.store8 (i32.const 520) (i32.const 1))
    (i32.store (i32.const 528) (local.get $fd))
    (i64.store (i32.const 560) (i64.const 8))
    (i32.store8 (i32.const 568) (i32.const 1))
    (i32.store (i32.const 576) (i32.const 0))
    (loop $next
      (call $same (i32.const 2) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const 2) (i32.const 40)) (i32.const 0))
      (call $same (i32.const 3) (i32.load (i32.const 40)) (i32.const 1))
      (call $same (i32.const 4) (i32.load (i32.const 1024)) (i32.const 8))
      (call $same (i32.const 5) (i32.load16_u (i32.const 1032)) (i32.const 0))
      (call $same (i32.const 6) (call $fd_read (i32.const 0) (i32.const 48) (i32.const 1) (i32.const 40)) (i32.const 0))
      (local.set $read (i32.add (local.get $read) (i32.load (i32.const 40))))
      (br_if $next (i32.load (i32.const 40))))
    (call $same (i32.const 7) (local.get $read) (i32.const 8)))
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
