;; A unix socket has a path: names without a file, which would lead out of the root, are refused.
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "sock_open_v2"
    (func $sock_open_v2 (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind_v2"
    (func $sock_bind_v2 (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_connect_v2"
    (func $sock_connect_v2 (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 address, 24 a descriptor, 128 the storage.
  (data (i32.const 0) "\80\00\00\00\80\00\00\00") ;; address: a storage at 128
  (data (i32.const 128) "\03\00\00lighter") ;; unix; a name that begins with a zero
  (func (export "_start")
    (call $same (i32.const 1) (call $sock_open_v2 (i32.const 3) (i32.const 2) (i32.const 24)) (i32.const 0))
    (call $same (i32.const 2) (call $sock_bind_v2 (i32.load (i32.const 24)) (i32.const 0) (i32.const 0)) (i32.const 2))
    (call $same (i32.const 3) (call $sock_connect_v2 (i32.load (i32.const 24)) (i32.const 0) (i32.const 0)) (i32.const 2))
    (memory.fill (i32.const 130) (i32.const 0) (i32.const 108))
    (call $same (i32.const 4) (call $sock_bind_v2 (i32.load (i32.const 24)) (i32.const 0) (i32.const 0)) (i32.const 28)) ;; no name at all
    (memory.fill (i32.const 130) (i32.const 0x61) (i32.const 108))
    (call $same (i32.const 5) (call $sock_bind_v2 (i32.load (i32.const 24)) (i32.const 0) (i32.const 0)) (i32.const 37))) ;; NAMETOOLONG
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step))))))
