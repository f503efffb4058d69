;; Writes a line to /dev/null. Ends with the call's error number.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 16 iovec, 24 descriptor, 28 bytes done, 32 the device.
  (data (i32.const 16) "\20\00\00\00\08\00\00\00") ;; iovec: 8 bytes at 32
  (data (i32.const 32) "dev/null")
  (func (export "_start")
    (call $or_end
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 8)
        (i32.const 0) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 24)))
    (call $or_end
      (call $fd_write (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28))))
  (func $or_end (param $error i32)
    (if (local.get $error) (then (call $proc_exit (local.get $error))))))
