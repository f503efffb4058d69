;; No call on paths leads out of a mount: not `..`, first or later, not an absolute path, and not a link by `..`; nor is an
;; absolute link made.
;; MOUNT: rw /volume
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
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 48 prestat (its name's length at 52), 128 what a file is, 256 names.
  (data (i32.const 256) "/secret")
  (data (i32.const 272) "../secret")
  (data (i32.const 288) "in/../../secret")
  (data (i32.const 304) "in")
  (data (i32.const 312) "link")
  (data (i32.const 320) "note")
  (func (export "_start") (local $vol i32)
    (local.set $vol (call $preopen))
    (if (call $path_create_directory (local.get $vol) (i32.const 304) (i32.const 2))
      (then (call $proc_exit (i32.const 1))))
    (call $refused (i32.const 2) (call $open (i32.const 256) (i32.const 7)))
    (call $refused (i32.const 3) (call $open (i32.const 272) (i32.const 9)))
    (call $refused (i32.const 4) (call $open (i32.const 288) (i32.const 15)))
    (call $refused (i32.const 5)
      (call $path_filestat_get (local.get $vol) (i32.const 1) (i32.const 272) (i32.const 9) (i32.const 128)))
    (call $refused (i32.const 6)
      (call $path_create_directory (local.get $vol) (i32.const 272) (i32.const 9)))
    (call $refused (i32.const 7)
      (call $path_rename (local.get $vol) (i32.const 320) (i32.const 4)
        (local.get $vol) (i32.const 272) (i32.const 9)))
    (call $refused (i32.const 8)
      (call $path_link (local.get $vol) (i32.const 0) (i32.const 272) (i32.const 9)
        (local.get $vol) (i32.const 312) (i32.const 4)))
    (call $refused (i32.const 9)
      (call $path_unlink_file (local.get $vol) (i32.const 288) (i32.const 15)))
    (if (call $path_symlink (i32.const 272) (i32.const 9) (local.get $vol) (i32.const 312) (i32.const 4))
      (then (call $proc_exit (i32.const 10))))
    (call $refused (i32.const 11) (call $open (i32.const 312) (i32.const 4)))
    (call $refused (i32.const 12)
      (call $path_filestat_get
        (local.get $vol) (i32.const 1) (i32.const 312) (i32.const 4) (i32.const 128)))
    (call $refused (i32.const 13)
      (call $path_symlink (i32.const 256) (i32.const 7) (local.get $vol) (i32.const 304) (i32.const 2))))
  (func $open (param $name i32) (param $length i32) (result i32)
    (call $path_open (call $preopen) (i32.const 1) (local.get $name) (local.get $length)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24)))
  ;; Ends with `step` unless the call was refused: ACCES, PERM, ROFS or NOTCAPABLE.
  (func $refused (param $step i32) (param $errno i32)
    (if (i32.eq (local.get $errno) (i32.const 2)) (then (return)))
    (if (i32.eq (local.get $errno) (i32.const 63)) (then (return)))
    (if (i32.eq (local.get $errno) (i32.const 69)) (then (return)))
    (if (i32.eq (local.get $errno) (i32.const 76)) (then (return)))
    (call $proc_exit (local.get $step)))
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
