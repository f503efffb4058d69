;; Primes below eight million, twelve times: the loop of `main.rs` as a Wasm module.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 124)
  (data (i32.const 0) "\08\00\00\00\05\00\00\00done\n")
  (func $count (result i32)
    (local $number i64) (local $multiple i64) (local $count i32)
    (memory.fill (i32.const 65536) (i32.const 0) (i32.const 8000000))
    (local.set $number (i64.const 2))
    (loop $next
      (if (i32.eqz (i32.load8_u offset=65536 (i32.wrap_i64 (local.get $number))))
        (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (local.set $multiple (i64.mul (local.get $number) (local.get $number)))
          (block $done
            (loop $cross
              (br_if $done (i64.ge_u (local.get $multiple) (i64.const 8000000)))
              (i32.store8 offset=65536 (i32.wrap_i64 (local.get $multiple)) (i32.const 1))
              (local.set $multiple (i64.add (local.get $multiple) (local.get $number)))
              (br $cross)))))
      (local.set $number (i64.add (local.get $number) (i64.const 1)))
      (br_if $next (i64.lt_u (local.get $number) (i64.const 8000000))))
    (local.get $count))
  (func (export "_start")
    (local $round i32)
    (loop $again
      (if (i32.ne (call $count) (i32.const 539777)) (then unreachable))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $round) (i32.const 12))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
