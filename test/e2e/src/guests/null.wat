;; Throws a line away: writes it to null in the preopen /dev. Ends with the call's error, with 99 where there is no such preopen.
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat (its name's length at 4), 16 iovec, 24 descriptor, 28 bytes done, 32 the device, 64 name of the preopen.
  (data (i32.const 16) "\20\00\00\00\04\00\00\00") ;; iovec: 4 bytes at 32
  (data (i32.const 32) "null")
  (func (export "_start")
    (call $or_end
      (call $path_open (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4)
        (i32.const 0) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 24)))
    (call $or_end
      (call $fd_write (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28))))
  (func $or_end (param $error i32)
    (if (local.get $error) (then (call $proc_exit (local.get $error)))))
  (func $preopen (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 0)) (then (call $proc_exit (i32.const 99))))
      (i32.store (i32.const 64) (i32.const 0))
      (drop (call $fd_prestat_dir_name (local.get $fd) (i32.const 64) (i32.load (i32.const 4))))
      (if (i32.and
            (i32.eq (i32.load (i32.const 4)) (i32.const 4))
            (i32.eq (i32.load (i32.const 64)) (i32.const 0x7665642f))) ;; /dev
        (then (return (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next))
    (unreachable)))
