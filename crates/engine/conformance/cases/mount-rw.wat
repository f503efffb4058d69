;; A read-write mount takes a new file, and gives it back.
;; MOUNT: rw /vol
;; EXIT: 0
;; STDOUT: written by the guest
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat (its name's length at 4), 16 iovec, 24 descriptor, 28 bytes done, 32 name of
  ;; the file, 64 name of the preopen, 128 what is written, 192 what is read.
  (data (i32.const 16) "\80\00\00\00\15\00\00\00") ;; iovec: 21 bytes at 128
  (data (i32.const 32) "new!")
  (data (i32.const 128) "written by the guest\n")
  (func (export "_start")
    (if (call $open (i32.const 1) (i64.const 64)) ;; O_CREAT, to write
      (then (call $proc_exit (i32.const 1))))
    (if (call $fd_write (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28))
      (then (call $proc_exit (i32.const 2))))
    (drop (call $fd_close (i32.load (i32.const 24))))
    (if (call $open (i32.const 0) (i64.const 2)) ;; to read
      (then (call $proc_exit (i32.const 3))))
    (i32.store (i32.const 16) (i32.const 192))
    (drop (call $fd_read (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28)))
    (i32.store (i32.const 20) (i32.load (i32.const 28)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 28))))
  (func $open (param $oflags i32) (param $rights i64) (result i32)
    (call $path_open (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4)
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 24)))
  ;; The descriptor of the preopen /vol.
  (func $preopen (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 0)) (then (unreachable)))
      (i32.store (i32.const 64) (i32.const 0))
      (drop (call $fd_prestat_dir_name
        (local.get $fd) (i32.const 64) (i32.load (i32.const 4))))
      (if (i32.and
            (i32.eq (i32.load (i32.const 4)) (i32.const 4))
            (i32.eq (i32.load (i32.const 64)) (i32.const 0x6c6f762f)))
        (then (return (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next))
    (unreachable)))
