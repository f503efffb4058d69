;; Absolute symlinks are resolved within the root, as on Linux, by every call, chains of them too. One that points to itself
;; is LOOP; readlink returns a link's target. /away, which points to /cases, is in the image.
;; EXIT: 0
(module
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
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink"
    (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link"
    (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get"
    (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times"
    (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 16 an iovec of 4 bytes, 24 a descriptor, 28 bytes done, 128 what a file is (its size at 160), 256 names.
  (data (i32.const 16) "\00\01\00\00\04\00\00\00")
  (data (i32.const 256) "away")
  (data (i32.const 264) "/cases")
  (data (i32.const 272) "away/new")
  (data (i32.const 288) "again")
  (data (i32.const 304) "away/old")
  (data (i32.const 320) "away/in")
  (data (i32.const 336) "round")
  (data (i32.const 352) "away/..")
  (func (export "_start")
    ;; again -> away/new, round -> round
    (call $ok (i32.const 1) (call $symlink (i32.const 272) (i32.const 8) (i32.const 288) (i32.const 5)))
    (call $ok (i32.const 2) (call $symlink (i32.const 336) (i32.const 5) (i32.const 336) (i32.const 5)))
    ;; A file is made where two links lead to, and has what was written.
    (call $ok (i32.const 3) (call $open (i32.const 1) (i32.const 288) (i32.const 5) (i32.const 1) (i64.const 64)))
    (call $ok (i32.const 4)
      (call $fd_write (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28)))
    (call $ok (i32.const 5)
      (call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 288) (i32.const 5) (i32.const 128)))
    (if (i64.ne (i64.load (i32.const 160)) (i64.const 4)) (then (call $proc_exit (i32.const 6))))
    (call $ok (i32.const 7)
      (call $path_filestat_set_times (i32.const 3) (i32.const 1) (i32.const 288) (i32.const 5)
        (i64.const 0) (i64.const 5000000000) (i32.const 4))) ;; changed at 5 s
    (call $ok (i32.const 8)
      (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 272) (i32.const 8) (i32.const 128)))
    (if (i64.ne (i64.load (i32.const 176)) (i64.const 5000000000)) (then (call $proc_exit (i32.const 9))))
    ;; It moves, gets a second name, and loses the first.
    (call $ok (i32.const 10) (call $rename (i32.const 272) (i32.const 8) (i32.const 304) (i32.const 8)))
    (call $ok (i32.const 11)
      (call $path_link (i32.const 3) (i32.const 0) (i32.const 304) (i32.const 8)
        (i32.const 3) (i32.const 272) (i32.const 8)))
    (call $ok (i32.const 12) (call $path_unlink_file (i32.const 3) (i32.const 304) (i32.const 8)))
    (call $ok (i32.const 13) (call $open (i32.const 1) (i32.const 272) (i32.const 8) (i32.const 0) (i64.const 2)))
    (call $ok (i32.const 14) (call $path_create_directory (i32.const 3) (i32.const 320) (i32.const 7)))
    (call $ok (i32.const 15) (call $path_remove_directory (i32.const 3) (i32.const 320) (i32.const 7)))
    ;; What is not made anew: EXIST. What is not there: NOENT.
    (call $is (i32.const 16) (i32.const 20)
      (call $open (i32.const 1) (i32.const 272) (i32.const 8) (i32.const 5) (i64.const 64)))
    (call $is (i32.const 17) (i32.const 44) (call $path_unlink_file (i32.const 3) (i32.const 304) (i32.const 8)))
    ;; A link itself.
    (call $ok (i32.const 18)
      (call $path_readlink (i32.const 3) (i32.const 256) (i32.const 4)
        (i32.const 512) (i32.const 64) (i32.const 28)))
    (if (i32.ne (i32.load (i32.const 28)) (i32.const 6)) (then (call $proc_exit (i32.const 19))))
    (if (i32.ne (i32.load (i32.const 512)) (i32.load (i32.const 264))) (then (call $proc_exit (i32.const 20))))
    (call $is (i32.const 21) (i32.const 32)
      (call $open (i32.const 1) (i32.const 336) (i32.const 5) (i32.const 0) (i64.const 2))) ;; LOOP
    ;; Behind a link `..` is where it leads to: the root.
    (call $ok (i32.const 22) (call $open (i32.const 1) (i32.const 352) (i32.const 7) (i32.const 2) (i64.const 0)))
    (call $ok (i32.const 23) (call $path_unlink_file (i32.const 3) (i32.const 336) (i32.const 5)))
    (call $ok (i32.const 24) (call $path_unlink_file (i32.const 3) (i32.const 288) (i32.const 5)))
    (call $ok (i32.const 25) (call $path_unlink_file (i32.const 3) (i32.const 272) (i32.const 8))))
  (func $open (param $follow i32) (param $name i32) (param $length i32) (param $oflags i32) (param $rights i64)
      (result i32)
    (call $path_open (i32.const 3) (local.get $follow) (local.get $name) (local.get $length)
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 24)))
  (func $symlink (param $target i32) (param $target_length i32) (param $name i32) (param $length i32) (result i32)
    (call $path_symlink (local.get $target) (local.get $target_length)
      (i32.const 3) (local.get $name) (local.get $length)))
  (func $rename (param $old i32) (param $old_length i32) (param $new i32) (param $new_length i32) (result i32)
    (call $path_rename (i32.const 3) (local.get $old) (local.get $old_length)
      (i32.const 3) (local.get $new) (local.get $new_length)))
  ;; Ends with `step` unless all is well.
  (func $ok (param $step i32) (param $errno i32)
    (call $is (local.get $step) (i32.const 0) (local.get $errno)))
  (func $is (param $step i32) (param $expected i32) (param $errno i32)
    (if (i32.ne (local.get $errno) (local.get $expected)) (then (call $proc_exit (local.get $step))))))
