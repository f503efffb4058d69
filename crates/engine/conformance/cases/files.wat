;; A file keeps the place where it is read and written; elsewhere is read and written without moving it.
;; O_EXCL wants a new file, O_TRUNC an empty one, O_APPEND writes at the end.
;; MOUNT: rw /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek"
    (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell"
    (func $fd_tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size"
    (func $fd_filestat_set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get"
    (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 and 8 iovecs, 16 a place, 24 a descriptor, 28 bytes done, 32 a name, 48 prestat (its name's length at
  ;; 52), 64 text, 80 room to read, 128 what a file is (its size at 160).
  (data (i32.const 0) "\40\00\00\00\06\00\00\00") ;; 6 bytes at 64
  (data (i32.const 8) "\50\00\00\00\03\00\00\00") ;; 3 bytes at 80
  (data (i32.const 32) "kept")
  (data (i32.const 64) "abcdef")
  (func (export "_start") (local $file i32)
    (call $same (i32.const 1) (call $open (i32.const 5) (i32.const 0)) (i32.const 0)) ;; O_CREAT, O_EXCL
    (local.set $file (i32.load (i32.const 24)))
    (call $same (i32.const 2) (call $open (i32.const 5) (i32.const 0)) (i32.const 20)) ;; EXIST
    (call $same (i32.const 3)
      (call $fd_write (local.get $file) (i32.const 0) (i32.const 1) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 4)
      (call $fd_seek (local.get $file) (i64.const -5) (i32.const 2) (i32.const 16)) (i32.const 0)) ;; from the end
    (call $same (i32.const 5)
      (call $fd_read (local.get $file) (i32.const 8) (i32.const 1) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 6) (i32.load (i32.const 80)) (i32.const 0x646362)) ;; "bcd"
    (call $same (i32.const 7)
      (call $fd_pread (local.get $file) (i32.const 8) (i32.const 1) (i64.const 0) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 8) (i32.load (i32.const 80)) (i32.const 0x636261)) ;; "abc"
    (call $same (i32.const 9)
      (call $fd_pwrite (local.get $file) (i32.const 0) (i32.const 1) (i64.const 3) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 10) (call $fd_tell (local.get $file) (i32.const 16)) (i32.const 0))
    (call $same (i32.const 11) (i32.load (i32.const 16)) (i32.const 4))
    (call $same (i32.const 12) (call $size (local.get $file)) (i32.const 9))
    (call $same (i32.const 13) (call $open (i32.const 0) (i32.const 1)) (i32.const 0)) ;; O_APPEND
    (local.set $file (i32.load (i32.const 24)))
    (call $same (i32.const 14)
      (call $fd_write (local.get $file) (i32.const 0) (i32.const 1) (i32.const 28)) (i32.const 0))
    (call $same (i32.const 15) (call $size (local.get $file)) (i32.const 15))
    (call $same (i32.const 16) (call $fd_filestat_set_size (local.get $file) (i64.const 2)) (i32.const 0))
    (call $same (i32.const 17) (call $size (local.get $file)) (i32.const 2))
    (call $same (i32.const 18) (call $open (i32.const 8) (i32.const 0)) (i32.const 0)) ;; O_TRUNC
    (call $same (i32.const 19) (call $size (local.get $file)) (i32.const 0)))
  ;; Opens it to be read, written and changed in all ways.
  (func $open (param $oflags i32) (param $fdflags i32) (result i32)
    (call $path_open (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4) (local.get $oflags)
      (i64.const 0x600066) (i64.const 0) (local.get $fdflags) (i32.const 24)))
  (func $size (param $file i32) (result i32)
    (call $same (i32.const 100) (call $fd_filestat_get (local.get $file) (i32.const 128)) (i32.const 0))
    (i32.load (i32.const 160)))
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
