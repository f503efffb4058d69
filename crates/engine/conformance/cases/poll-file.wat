;; A file is always ready, to be read and to be written.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 prestat, 24 a descriptor, 40 how many, 64 a name, 512 subscriptions, 1024 events.
  (data (i32.const 64) "note")
  (func (export "_start")
    (call $same (i32.const 1) (call $path_open (call $preopen) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24)) (i32.const 0))
    (i64.store (i32.const 512) (i64.const 7))
    (i32.store8 (i32.const 520) (i32.const 1))
    (i32.store (i32.const 528) (i32.load (i32.const 24)))
    (i64.store (i32.const 560) (i64.const 8))
    (i32.store8 (i32.const 568) (i32.const 2))
    (i32.store (i32.const 576) (i32.load (i32.const 24)))
    (call $same (i32.const 2) (call $poll_oneoff (i32.const 512) (i32.const 1024) (i32.const 2) (i32.const 40)) (i32.const 0))
    (call $same (i32.const 3) (i32.load (i32.const 40)) (i32.const 2))
    (call $same (i32.const 4) (i32.load (i32.const 1024)) (i32.const 7))
    (call $same (i32.const 5) (i32.load16_u (i32.const 1032)) (i32.const 0))
    (call $same (i32.const 6) (i32.load8_u (i32.const 1034)) (i32.const 1))
    (call $same (i32.const 7) (i32.load (i32.const 1056)) (i32.const 8))
    (call $same (i32.const 8) (i32.load16_u (i32.const 1064)) (i32.const 0))
    (call $same (i32.const 9) (i32.load8_u (i32.const 1066)) (i32.const 2)))
  ;; Ends with `step` unless the two are the same.
  (func $same (param $step i32) (param $is i32) (param $must i32)
    (if (i32.ne (local.get $is) (local.get $must)) (then (call $proc_exit (local.get $step)))))
  ;; The descriptor of the preopen with a name as long as /volume.
  (func $preopen (result i32) (local $fd i32)
    (local.set $fd (i32.const 3))
    (loop $next
      (if (call $fd_prestat_get (local.get $fd) (i32.const 0)) (then (unreachable)))
      (if (i32.eq (i32.load (i32.const 4)) (i32.const 7)) (then (return (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next))
    (unreachable)))
