;; A file that takes the number of stdout gets what is printed, as shells and daemons want it.
;; MOUNT: rw /volume
;; EXIT: 0
;; STDOUT:
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber"
    (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 bytes done, 24 a descriptor, 32 a name, 48 prestat (its name's length at 52), 64 text, 128 what a
  ;; file is (its size at 160).
  (data (i32.const 0) "\40\00\00\00\0a\00\00\00") ;; 10 bytes at 64
  (data (i32.const 32) "kept")
  (data (i32.const 64) "to a file\n")
  (func (export "_start")
    (call $same (i32.const 1)
      (call $path_open (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4)
        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 24)) ;; O_CREAT, to write
      (i32.const 0))
    (call $same (i32.const 2) (call $fd_renumber (i32.load (i32.const 24)) (i32.const 1)) (i32.const 0))
    (call $same (i32.const 3)
      (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.const 0))
    (call $same (i32.const 4)
      (call $path_filestat_get (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 128))
      (i32.const 0))
    (call $same (i32.const 5) (i32.load (i32.const 160)) (i32.const 10)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; The descriptor of the preopen with a name as long as /volume.
  (func $preopen (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 48)) (then (unreachable)))
      (if (i32.ne (i32.load (i32.const 52)) (i32.const 7))
        (then
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br $next))))
    (local.get $fd)))
