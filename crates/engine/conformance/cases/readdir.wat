;; A directory is read to its end in small pieces, and each entry comes once.
;; MOUNT: ro /volume
;; EXIT: 0
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir"
    (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 bytes done, 48 prestat (its name's length at 52), 128 an entry: where the next begins, its file, the
  ;; length of its name at 144, its kind at 148, its name at 152.
  (func (export "_start") (local $vol i32) (local $next i64) (local $notes i32) (local $calls i32)
    (local.set $vol (call $preopen))
    (block $end
      (loop $read
        ;; Room for one entry and no second.
        (if (call $fd_readdir (local.get $vol) (i32.const 128) (i32.const 30) (local.get $next) (i32.const 0))
          (then (call $proc_exit (i32.const 1))))
        (br_if $end (i32.lt_u (i32.load (i32.const 0)) (i32.const 24)))
        (if (i32.and
              (i32.eq (i32.load (i32.const 144)) (i32.const 4))
              (i32.eq (i32.load (i32.const 152)) (i32.const 0x65746f6e))) ;; "note"
          (then
            (if (i32.ne (i32.load8_u (i32.const 148)) (i32.const 4)) (then (call $proc_exit (i32.const 2))))
            (local.set $notes (i32.add (local.get $notes) (i32.const 1)))))
        (local.set $next (i64.load (i32.const 128)))
        (local.set $calls (i32.add (local.get $calls) (i32.const 1)))
        (if (i32.gt_u (local.get $calls) (i32.const 9)) (then (call $proc_exit (i32.const 3))))
        (br $read)))
    (if (i32.ne (local.get $notes) (i32.const 1)) (then (call $proc_exit (i32.const 4)))))
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
