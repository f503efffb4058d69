;; Reading beyond the memory is a trap: 134, and stderr names it.
;; EXIT: 134
;; STDERR: out of bounds memory access
;; STDERR: read_beyond
(module
  (memory (export "memory") 1)
  (func (export "_start") (call $read_beyond))
  (func $read_beyond (drop (i32.load (i32.const 0x10000)))))
