;; A read-only mount can be read, but neither takes a new file nor gives an old one for writing.
;; MOUNT: ro /vol
;; EXIT: 0
;; STDOUT: from the host
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat (its name's length at 4), 16 iovec, 24 descriptor, 28 bytes done, 32 and 48
  ;; names of files, 64 name of the preopen, 128 text.
  (data (i32.const 16) "\80\00\00\00\40\00\00\00") ;; iovec: 64 bytes at 128
  (data (i32.const 32) "note")
  (data (i32.const 48) "new!")
  (func (export "_start")
    (if (call $open (i32.const 32) (i32.const 0) (i64.const 2)) ;; the note, to read
      (then (call $proc_exit (i32.const 1))))
    (drop (call $fd_read (i32.load (i32.const 24)) (i32.const 16) (i32.const 1) (i32.const 28)))
    (i32.store8 offset=128 (i32.load (i32.const 28)) (i32.const 10))
    (i32.store (i32.const 20) (i32.add (i32.load (i32.const 28)) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 28)))
    (if (i32.eqz (call $refusal
          (call $open (i32.const 48) (i32.const 1) (i64.const 64)))) ;; O_CREAT, to write
      (then (call $proc_exit (i32.const 2))))
    (if (i32.eqz (call $refusal
          (call $open (i32.const 32) (i32.const 0) (i64.const 64)))) ;; the note, to write
      (then (call $proc_exit (i32.const 3)))))
  (func $open (param $name i32) (param $oflags i32) (param $rights i64) (result i32)
    (call $path_open (call $preopen) (i32.const 0) (local.get $name) (i32.const 4)
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 24)))
  ;; Is it ROFS?
  (func $refusal (param $errno i32) (result i32)
    (i32.eq (local.get $errno) (i32.const 69)))
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
