;; Directories and their entries are made, moved and removed; each failure has its own errno.
;; MOUNT: rw /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $path_create_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory"
    (func $path_remove_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 32, 40 and 64 names, 48 prestat (its name's length at 52), 128 what a file is (its kind at
  ;; 144).
  (data (i32.const 32) "note")
  (data (i32.const 40) "sub")
  (data (i32.const 64) "sub/note")
  (func (export "_start") (local $vol i32)
    (local.set $vol (call $preopen))
    (call $same (i32.const 1)
      (call $path_create_directory (local.get $vol) (i32.const 40) (i32.const 3)) (i32.const 0))
    (call $same (i32.const 2)
      (call $path_create_directory (local.get $vol) (i32.const 40) (i32.const 3)) (i32.const 20)) ;; EXIST
    (call $same (i32.const 3) (call $kind (i32.const 40) (i32.const 3)) (i32.const 3)) ;; a directory
    (call $same (i32.const 4)
      (call $path_rename (local.get $vol) (i32.const 32) (i32.const 4)
        (local.get $vol) (i32.const 64) (i32.const 8))
      (i32.const 0))
    (call $same (i32.const 5) (call $kind (i32.const 32) (i32.const 4)) (i32.const 144)) ;; 100 + NOENT
    (call $same (i32.const 6) (call $kind (i32.const 64) (i32.const 8)) (i32.const 4)) ;; a file
    (call $same (i32.const 7) (call $directory (i32.const 64) (i32.const 8)) (i32.const 54)) ;; NOTDIR
    (call $same (i32.const 8)
      (call $path_remove_directory (local.get $vol) (i32.const 40) (i32.const 3)) (i32.const 55)) ;; NOTEMPTY
    (call $same (i32.const 9)
      (call $path_unlink_file (local.get $vol) (i32.const 40) (i32.const 3)) (i32.const 31)) ;; ISDIR
    (call $same (i32.const 10)
      (call $path_unlink_file (local.get $vol) (i32.const 64) (i32.const 8)) (i32.const 0))
    (call $same (i32.const 11)
      (call $path_remove_directory (local.get $vol) (i32.const 40) (i32.const 3)) (i32.const 0))
    (call $same (i32.const 12) (call $directory (i32.const 40) (i32.const 3)) (i32.const 44))) ;; NOENT
  ;; What is there, or 100 and why nothing is.
  (func $kind (param $name i32) (param $length i32) (result i32) (local $errno i32)
    (local.set $errno (call $path_filestat_get
      (call $preopen) (i32.const 0) (local.get $name) (local.get $length) (i32.const 128)))
    (if (local.get $errno) (then (return (i32.add (local.get $errno) (i32.const 100)))))
    (i32.load8_u (i32.const 144)))
  ;; Opens a directory.
  (func $directory (param $name i32) (param $length i32) (result i32)
    (call $path_open (call $preopen) (i32.const 0) (local.get $name) (local.get $length)
      (i32.const 2) (i64.const 0x4000) (i64.const 0) (i32.const 0) (i32.const 24)))
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
