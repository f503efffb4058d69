;; A file takes another's number, and its place in the file along; what had the number is closed.
;; Unused numbers are BADF, and nothing happens.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber"
    (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell"
    (func $fd_tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 bytes done, 16 a place, 24 a descriptor, 32 a name, 48 prestat (its name's length at 52).
  (data (i32.const 0) "\40\00\00\00\05\00\00\00") ;; 5 bytes at 64
  (data (i32.const 32) "note")
  (func (export "_start") (local $one i32) (local $other i32)
    (local.set $one (call $note))
    (local.set $other (call $note))
    (call $same (i32.const 1)
      (call $fd_read (local.get $one) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.const 0))
    (call $same (i32.const 2) (call $fd_renumber (local.get $one) (local.get $other)) (i32.const 0))
    (call $same (i32.const 3) (call $fd_tell (local.get $one) (i32.const 16)) (i32.const 8)) ;; BADF
    (call $same (i32.const 4) (call $fd_tell (local.get $other) (i32.const 16)) (i32.const 0))
    (call $same (i32.const 5) (i32.load (i32.const 16)) (i32.const 5))
    (call $same (i32.const 6) (call $fd_renumber (i32.const 999) (local.get $other)) (i32.const 8))
    (call $same (i32.const 7) (call $fd_renumber (local.get $other) (i32.const 999)) (i32.const 8))
    (call $same (i32.const 8) (call $fd_tell (local.get $other) (i32.const 16)) (i32.const 0))
    (call $same (i32.const 9) (call $fd_renumber (local.get $other) (local.get $other)) (i32.const 0))
    (call $same (i32.const 10) (call $fd_tell (local.get $other) (i32.const 16)) (i32.const 0)))
  ;; The note, opened.
  (func $note (result i32)
    (call $same (i32.const 100)
      (call $path_open (call $preopen) (i32.const 0) (i32.const 32) (i32.const 4)
        (i32.const 0) (i64.const 38) (i64.const 0) (i32.const 0) (i32.const 24)) ;; to read, seek and tell
      (i32.const 0))
    (i32.load (i32.const 24)))
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
