;; Values of the environment arrive byte by byte, in any script and with `=` in them; so do names.
;; ENV: GREETING=Grüße, 世界
;; ENV: OPTIONS=a=b=c
;; ENV: dotted.näme= x
;; EXIT: 0
;; STDOUT: GREETING=Grüße, 世界
;; STDOUT: OPTIONS=a=b=c
;; STDOUT: dotted.näme= x
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; Memory: 0 iovec, 8 count, 12 bytes, 1024 pointers, 4096 the variables.
  (func (export "_start") (local $n i32)
    (drop (call $environ_sizes_get (i32.const 8) (i32.const 12)))
    (drop (call $environ_get (i32.const 1024) (i32.const 4096)))
    (loop $next
      (if (i32.eq (local.get $n) (i32.load (i32.const 8))) (then (return)))
      (call $print (i32.load offset=1024 (i32.shl (local.get $n) (i32.const 2))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $next)))
  ;; Prints a variable, which a NUL byte ends, as a line; PATH is passed over.
  (func $print (param $start i32) (local $end i32)
    (if (i32.eq (i32.load (local.get $start)) (i32.const 0x48544150)) (then (return))) ;; "PATH"
    (local.set $end (local.get $start))
    (loop $next
      (if (i32.load8_u (local.get $end)) (then
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next))))
    (i32.store8 (local.get $end) (i32.const 10))
    (i32.store (i32.const 0) (local.get $start))
    (i32.store (i32.const 4)
      (i32.add (i32.sub (local.get $end) (local.get $start)) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
