;; The guest has the spec's user and no capability.
;; Root's file of mode 0400 is refused, and so is a new file in a directory of root's.
;; USER: 1234:5678
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name"
    (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat (its name's length at 4), 24 descriptor, 32 and 48 names of files, 64 name of
  ;; the preopen.
  (data (i32.const 32) "secret")
  (data (i32.const 48) "public")
  (func (export "_start")
    (if (i32.ne (call $open (i32.const 32) (i32.const 0) (i64.const 2)) (i32.const 2)) ;; ACCES
      (then (call $proc_exit (i32.const 1))))
    (if (i32.ne (call $open (i32.const 48) (i32.const 1) (i64.const 64)) (i32.const 2)) ;; O_CREAT
      (then (call $proc_exit (i32.const 2)))))
  ;; Opens a file of six letters: its errno.
  (func $open (param $name i32) (param $oflags i32) (param $rights i64) (result i32)
    (call $path_open (call $preopen) (i32.const 0) (local.get $name) (i32.const 6)
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 24)))
  ;; The descriptor of the preopen /.
  (func $preopen (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 0)) (then (unreachable)))
      (i32.store (i32.const 64) (i32.const 0))
      (drop (call $fd_prestat_dir_name
        (local.get $fd) (i32.const 64) (i32.load (i32.const 4))))
      (if (i32.and
            (i32.eq (i32.load (i32.const 4)) (i32.const 1))
            (i32.eq (i32.load (i32.const 64)) (i32.const 0x2f)))
        (then (return (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next))
    (unreachable)))
