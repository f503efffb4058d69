;; What is open but no socket is NOTSOCK to the calls for sockets.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown"
    (func $sock_shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_listen"
    (func $sock_listen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept"
    (func $sock_accept (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getlocaladdr"
    (func $sock_getlocaladdr (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 16 its octets, 24 a descriptor, 28 a kind, 32 a port, 36 how many bytes, 40 iovec.
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; address: 4 octets at 16
  (data (i32.const 16) "\7f\00\00\01")
  (func (export "_start")
    (call $same (i32.const 1) (call $sock_recv (i32.const 3) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 36) (i32.const 32)) (i32.const 57))
    (call $same (i32.const 2) (call $sock_send (i32.const 1) (i32.const 40) (i32.const 1) (i32.const 0) (i32.const 36)) (i32.const 57))
    (call $same (i32.const 3) (call $sock_shutdown (i32.const 0) (i32.const 3)) (i32.const 57))
    (call $same (i32.const 4) (call $sock_listen (i32.const 3) (i32.const 1)) (i32.const 57))
    (call $same (i32.const 5) (call $sock_accept (i32.const 3) (i32.const 24)) (i32.const 57))
    (call $same (i32.const 6) (call $sock_getlocaladdr (i32.const 3) (i32.const 0) (i32.const 28) (i32.const 32)) (i32.const 57)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
