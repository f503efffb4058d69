;; Prints `ready`, then the events: `client` for each client of a listener from descriptor 3 on, `stdin` for
;; input. Ends at the end of stdin.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 a count, 12 the client, 32 words, 64 a descriptor's status, 96 room to read, 512
  ;; subscriptions, 1024 events. An event's number is its descriptor's.
  (data (i32.const 32) "ready\n")
  (data (i32.const 40) "client\n")
  (data (i32.const 48) "stdin\n")
  (func (export "_start") (local $count i32) (local $fd i32)
    (i32.store8 (i32.const 520) (i32.const 1)) ;; to read descriptor 0
    (local.set $count (i32.const 1))
    (loop $next
      (local.set $fd (i32.add (local.get $count) (i32.const 2)))
      (drop (call $stat (local.get $fd) (i32.const 64)))
      (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 6)) ;; a stream socket
        (then
          (call $subscribe (local.get $count) (local.get $fd))
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (br $next))))
    (call $say (i32.const 32) (i32.const 6))
    (loop $wait
      (if (call $poll (i32.const 512) (i32.const 1024) (local.get $count) (i32.const 8)) (then unreachable))
      (local.set $fd (i32.load (i32.const 1024)))
      (if (local.get $fd)
        (then
          (if (call $accept (local.get $fd) (i32.const 0) (i32.const 12)) (then unreachable))
          (drop (call $close (i32.load (i32.const 12))))
          (call $say (i32.const 40) (i32.const 7)))
        (else
          (i32.store (i32.const 0) (i32.const 96))
          (i32.store (i32.const 4) (i32.const 256))
          (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
          (if (i32.eqz (i32.load (i32.const 8))) (then (call $exit (i32.const 0))))
          (call $say (i32.const 48) (i32.const 6))))
      (br $wait)))
  (func $subscribe (param $nth i32) (param $fd i32) (local $at i32)
    (local.set $at (i32.add (i32.const 512) (i32.mul (local.get $nth) (i32.const 48))))
    (i32.store (local.get $at) (local.get $fd))
    (i32.store8 offset=8 (local.get $at) (i32.const 1))
    (i32.store offset=16 (local.get $at) (local.get $fd)))
  (func $say (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
