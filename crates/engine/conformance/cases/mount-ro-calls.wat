;; No call changes a read-only mount: creating, renaming, linking, truncating and removing a file and setting its times all
;; return ROFS.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $path_create_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link"
    (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times"
    (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 32 and 40 names, 48 prestat (its name's length at 52), 128 what a file is (its size at 160).
  (data (i32.const 32) "note")
  (data (i32.const 40) "new!")
  (func (export "_start") (local $vol i32)
    (local.set $vol (call $preopen))
    (call $refused (i32.const 1)
      (call $path_create_directory (local.get $vol) (i32.const 40) (i32.const 4)))
    (call $refused (i32.const 2)
      (call $path_rename (local.get $vol) (i32.const 32) (i32.const 4)
        (local.get $vol) (i32.const 40) (i32.const 4)))
    (call $refused (i32.const 3)
      (call $path_symlink (i32.const 32) (i32.const 4) (local.get $vol) (i32.const 40) (i32.const 4)))
    (call $refused (i32.const 4)
      (call $path_link (local.get $vol) (i32.const 0) (i32.const 32) (i32.const 4)
        (local.get $vol) (i32.const 40) (i32.const 4)))
    (call $refused (i32.const 5)
      (call $path_open (local.get $vol) (i32.const 0) (i32.const 32) (i32.const 4)
        (i32.const 8) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 24))) ;; O_TRUNC, to write
    (call $refused (i32.const 6)
      (call $path_filestat_set_times (local.get $vol) (i32.const 0) (i32.const 32) (i32.const 4)
        (i64.const 0) (i64.const 0) (i32.const 8))) ;; changed now
    (call $refused (i32.const 7)
      (call $path_unlink_file (local.get $vol) (i32.const 32) (i32.const 4)))
    (if (call $path_filestat_get (local.get $vol) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 128))
      (then (call $proc_exit (i32.const 8))))
    (if (i32.ne (i32.load (i32.const 160)) (i32.const 13))
      (then (call $proc_exit (i32.const 9)))))
  ;; Ends with `step` unless the call was refused: ROFS.
  (func $refused (param $step i32) (param $errno i32)
    (if (i32.ne (local.get $errno) (i32.const 69)) (then (call $proc_exit (local.get $step)))))
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
