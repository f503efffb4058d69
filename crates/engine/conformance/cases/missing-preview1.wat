;; A function that preview 1 does not have is missing like any other.
;; CREATE: wasi_snapshot_preview1::fd_fly
(module
  (import "wasi_snapshot_preview1" "fd_fly" (func $fd_fly (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $fd_fly (i32.const 0)))))
