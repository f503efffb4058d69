;; A preopen can be closed: it is not listed any more, and nothing can be opened through it.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close"
    (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 24 a descriptor, 32 a name, 48 prestat (its name's length at 52).
  (data (i32.const 32) "note")
  (func (export "_start") (local $vol i32)
    (local.set $vol (call $preopen))
    (call $same (i32.const 1) (call $open (local.get $vol)) (i32.const 0))
    (call $same (i32.const 2) (call $fd_close (local.get $vol)) (i32.const 0))
    (call $same (i32.const 3) (call $open (local.get $vol)) (i32.const 8)) ;; BADF
    (call $same (i32.const 4) (call $fd_prestat_get (local.get $vol) (i32.const 48)) (i32.const 8))
    (call $same (i32.const 5) (call $fd_close (local.get $vol)) (i32.const 8)))
  (func $open (param $vol i32) (result i32)
    (call $path_open (local.get $vol) (i32.const 0) (i32.const 32) (i32.const 4)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24)))
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
