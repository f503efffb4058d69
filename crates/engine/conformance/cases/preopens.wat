;; The root file system is a preopen, and each mount of the spec is one of its own under its path.
;; MOUNT: ro /vol
;; EXIT: 0
;; STDOUT: preopens: / and /vol
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat (its name's length at 4), 16 iovec, 24 bytes done, 32 text, 64 name.
  (data (i32.const 16) "\20\00\00\00\15\00\00\00") ;; iovec: 21 bytes at 32
  (data (i32.const 32) "preopens: / and /vol\n")
  (func (export "_start")
    (if (i32.lt_s (call $preopen (i32.const 1) (i32.const 0x2f)) (i32.const 3)) ;; "/"
      (then (call $proc_exit (i32.const 1))))
    (if (i32.lt_s (call $preopen (i32.const 4) (i32.const 0x6c6f762f)) (i32.const 3)) ;; "/vol"
      (then (call $proc_exit (i32.const 2))))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  ;; The descriptor of the preopen with a name of `len` bytes that reads `name`, or -1.
  (func $preopen (param $len i32) (param $name i32) (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 0)) (then (return (i32.const -1))))
      (i32.store (i32.const 64) (i32.const 0))
      (drop (call $fd_prestat_dir_name
        (local.get $fd) (i32.const 64) (i32.load (i32.const 4))))
      (if (i32.and
            (i32.eq (i32.load (i32.const 4)) (local.get $len))
            (i32.eq (i32.load (i32.const 64)) (local.get $name)))
        (then (return (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next))
    (unreachable)))
